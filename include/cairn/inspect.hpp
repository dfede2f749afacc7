// inspect.hpp - looking into segments from outside, and tidying up after the dead (what shmctl is made of).
//
//   for (const cairn::segment_location& where : cairn::find_segments())
//       for (const cairn::object_facts& object : cairn::inspection(where).objects())
//           std::cout << where.target << '/' << object.name << '\n';
//
// Nothing is trusted  every offset, count and link is checked, every loop has an end, and the bytes are read from the file
//                     into private memory, so that a segment which is damaged, truncated, shortened while it is read,
//                     or no segment at all is an error or a `?`, never a crash.
// Nothing is touched  an inspection opens the file for reading, is no participant, takes no lock and wakes nobody. It
//                     works when every process is dead.
// Living writers      what is read of one object is of one moment: copied between two looks at the object's version, as
//                     the library's own readers do. When a writer never pauses, the answer says so in its notes.
// Dead writers        what a dead process had begun is taken back, or carried to its end, in a private copy: the answer is
//                     what the next user of the object will find, and says so in its notes.
//
// The functions at the end, collect_segment and remove_segment, are the only ones that write, by the library's own locks.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/owner.hpp>
#include <cairn/segment.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail::inspecting {
struct element_type;
}

// ---- where segments are ------------------------------------------------------------------------------------------

/// One segment, or one file that is called like one.
struct segment_location {
    std::string target;  // how shmctl names it: "jobs", "pid:4711/anonymous-1", "./saved"
    std::string name;    // "jobs"; of an image the file's name
    std::string path;    // what is opened: "/dev/shm/cairn.jobs", "/proc/4711/fd/5", "./saved"
    bool is_anonymous = false;
    bool is_image = false;     // a saved copy: no process is attached to it
    pid_t pid = 0;             // anonymous: the lowest of the processes that have it open
    std::uint64_t device = 0;  // which file it was when it was found
    std::uint64_t inode = 0;
    std::uint64_t file_bytes = 0;  // its size; of an anonymous segment the most it can grow to
    uid_t owner = 0;
    mode_t mode = 0;
};

/// All named segments, then all anonymous ones that this user may see, each once, sorted by target.
/// Files that are called like segments and are none are among them: opening an inspection tells.
/// A segment that this process has left to forked children, and that only the dead have by now, loses its name first
/// (manager.hpp); so it does in locate_segment().
/// Cost    anonymous: a look at every open file of every process that /proc shows
CAIRN_API std::vector<segment_location> find_segments(bool with_anonymous = true);

/// The segment that `target` means: NAME, pid:PID/NAME, or the path of a saved image (with a '/' or '.' in front).
/// @throws no_such_segment, invalid_name, permission_denied
CAIRN_API segment_location locate_segment(std::string_view target);

/// From now on named segments of this process live in that directory rather than in /dev/shm: for a look into a
/// container's, for instance. Set it before anything else, in one thread. @throws invalid_argument  longer than PATH_MAX
CAIRN_API void use_segment_directory(const std::string& path);

// ---- what is known of them -----------------------------------------------------------------------------------------

enum class presence { alive, dead, unknown };  // unknown: of another pid namespace

/// What a segment says of itself. Empty optionals are damaged, or lie beyond the end of a truncated file.
struct segment_facts {
    std::string name;
    std::uint32_t format = 0;
    std::uint64_t max_bytes = 0;
    std::optional<std::uint64_t> committed_bytes;  // end of what is backed
    std::optional<std::uint64_t> size_bytes;       // backed by the system
    std::optional<std::uint64_t> used_bytes;       // of these, not free
    std::optional<std::uint64_t> page_count;
    std::optional<std::uint64_t> free_page_count;
    std::optional<std::uint32_t> object_count;
    std::optional<std::uint32_t> slot_count;
    std::optional<std::uint64_t> recovery_count;  // of the segment's own lock; each object counts its own
    std::optional<std::uint64_t> acquired_count;
    std::int64_t created_nanoseconds = 0;  // since 1970
    pid_t creator_pid = 0;
    bool is_persistent = false;
    bool is_removed_when_unused = false;
    bool is_retired = false;    // has lost its name
    bool is_truncated = false;  // the file ends before the segment does
    bool is_of_this_boot = true;
    bool is_of_this_pid_namespace = true;
    std::uint64_t pid_namespace = 0;
    bool is_of_this_time_namespace = true;
    std::uint64_t time_namespace = 0;  // 0: the kernel has none
    std::uint32_t lock_thread = 0;     // that holds the segment's lock; 0: nobody
    bool lock_owner_died = false;
};

struct participant_facts {
    pid_t pid = 0;
    std::uint64_t number = 0;  // never reused
    std::string program;
    bool is_creator = false;
    presence state = presence::unknown;
};

enum class lock_state { free, held, owner_died };

/// A process that has permits of a semaphore, which come back when it dies, or threads that wait for a condition, or that takes part
/// in a barrier.
struct permit_holder_facts {
    std::uint64_t participant =
        0;  // participant_facts::number; none of that number is there when it has died
    std::uint64_t count = 0;
};

struct object_facts {
    std::string name;
    std::string kind;                 // "list"; "?" when damaged
    std::optional<std::string> type;  // of the elements: "int64"
    std::string state;                // "live", "poisoned"
    std::string status;               // of locks and the like: "held, taken 2 times"
    std::vector<permit_holder_facts> holders;
    std::vector<permit_holder_facts> waiters;  // of a condition
    std::vector<permit_holder_facts> members;  // of a barrier
    std::optional<std::uint64_t> items;
    std::uint32_t shard_count = 0;  // of a sharded_dict: bytes, counts and the like are sums over the shards
    std::uint64_t bytes = 0;        // of its extents
    std::uint64_t extent_count = 0;
    std::optional<std::uint64_t> element_bytes;  // of what its elements occupy in place
    std::uint64_t version = 0;
    std::uint64_t generation = 0;
    std::uint64_t fingerprint = 0;
    std::int64_t created_nanoseconds = 0;
    bool has_waiters = false;  // somebody waits for the lock or for an event, or did until lately
    lock_state lock = lock_state::free;
    std::uint32_t lock_thread = 0;  // thread id of the holder, or of the dead one
    pid_t lock_pid = 0;             // its process; 0 when not known
    std::uint64_t acquired_count = 0;
    std::uint64_t contended_count = 0;
    std::uint64_t recovery_count = 0;
    std::uint64_t rolled_back_count = 0;
    std::int64_t last_recovery_nanoseconds = 0;
    std::uint32_t last_dead_thread = 0;
    std::uint32_t last_operation = 0;
    std::uint64_t last_undone_bytes = 0;
    std::uint64_t poison_reason = 0;
    std::vector<std::string> notes;  // what else there is to say: "its owner died: shown as after recovery"
};

/// One worker of a pool.
struct pool_worker_facts {
    int place = 0;  // this_worker::id()
    pid_t pid = 0;
    presence alive = presence::unknown;
    std::string state;  // "starting", "idle", "running", "ending": to be killed for its task
    std::uint64_t tasks_done = 0;
    // While it runs:
    std::optional<std::uint64_t> task;  // this_task::id()
    std::optional<double> seconds;      // since it was taken; empty where the clock is not this system's
    std::uint32_t attempt = 0;
    std::uint32_t item = 0;  // of how many
    std::uint32_t item_count = 0;
    bool is_stop_asked = false;
};

/// A pool of worker processes (pool.hpp, process_pool_executor.hpp).
struct pool_facts {
    std::string name;
    std::string state;    // "open", "closing", "broken"
    std::string failure;  // why it is broken, or its last initializer failed
    std::uint64_t waiting_count = 0;
    std::uint64_t running_count = 0;
    std::uint64_t unread_count = 0;    // finished; their owner has not taken them over yet
    std::uint64_t finished_count = 0;  // since it was made
    std::uint64_t died_count = 0;      // workers that ended in a task
    std::uint64_t retried_count = 0;   // further starts after that
    std::uint32_t wanted_worker_count = 0;
    pid_t nursery = 0;
    presence nursery_alive = presence::unknown;
    std::vector<pool_worker_facts> workers;  // those that are there
    std::vector<std::string> notes;
};

/// A process of a service (service_manager.hpp).
struct service_process_facts {
    pid_t pid = 0;
    presence alive = presence::unknown;
    std::string state;             // "starting", "ready", "stopping", "killed"
    std::uint64_t generation = 0;  // how many reloads had begun when it was started
    // Empty where the clock is not this system's.
    std::optional<double> seconds;       // since it was started
    std::optional<double> beat_seconds;  // since it was seen to beat last; empty if it never was
};

/// One worker id of a service.
struct service_worker_facts {
    int id = 0;
    std::optional<service_process_facts> process;
    std::optional<service_process_facts> successor;  // while a reload replaces that
    std::uint64_t restarts = 0;
    std::uint64_t failures = 0;          // deaths one after the other
    std::optional<double> wait_seconds;  // until it is started again, while it waits for that
};

struct service_facts {
    std::string name;
    std::string restart;  // "permanent", "transient", "temporary"
    std::uint64_t wanted_worker_count = 0;
    std::uint64_t restarts = 0;
    bool is_given_up = false;
    std::vector<service_worker_facts> workers;  // those that are wanted, or there
};

/// The services of a manager that has a name.
struct service_set_facts {
    std::string name;   // of the object
    std::string state;  // "running", "stopping", "over": run() has returned, or its processes were killed
    std::string program;
    pid_t manager = 0;
    presence manager_alive = presence::unknown;
    pid_t supervisor = 0;  // nursery, or guardian; 0: not there yet
    presence supervisor_alive = presence::unknown;
    std::optional<double> looked_seconds;  // since that has looked after workers
    std::uint64_t generation = 0;
    std::uint64_t waiting_orders = 0;  // that nobody has obeyed yet
    std::vector<service_facts> services;
    std::vector<std::string> notes;
};

// ---- what is in them -------------------------------------------------------------------------------------------------

/// A decoded element. monostate: damaged. nullptr: None. Bytes: a struct, or a type of a user's own codec. Pairs: a map, or
/// the fields of a struct under their names.
struct element_value;
struct element_pair;
using element_variant =
    std::variant<std::monostate, std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
                 std::vector<std::byte>, std::vector<element_value>, std::vector<element_pair>>;
struct element_value {
    element_variant is;
};
struct element_pair {
    element_value key;
    element_value value;
};

/// Copies of elements, decoded by the recorded name of their type: of a dict its values, in order of insertion; of a
/// sharded_dict shard after shard, each as it was at a moment of its own.
class CAIRN_API object_contents {
public:
    std::string kind;
    std::string type;
    std::uint64_t size = 0;   // of the whole object
    std::uint64_t first = 0;  // index of the first element that was asked for
    std::vector<std::string> notes;

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// True when the element's bytes cannot be reached, or are no value of its type.
    [[nodiscard]] bool is_damaged(std::uint64_t i) const;
    /// As they are stored.
    [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t i) const;
    /// In Python's notation; `?` when damaged.
    void append_text(std::string& to, std::uint64_t i) const;
    [[nodiscard]] element_value value(std::uint64_t i) const;
    /// Of a dict: its keys, in the same order. Null for everything else.
    [[nodiscard]] const object_contents* keys() const noexcept { return keys_.get(); }

private:
    friend struct contents_access;
    [[nodiscard]] bool is_missing(std::uint64_t i) const;
    std::shared_ptr<const detail::inspecting::element_type> decoder_;
    std::uint64_t count_ = 0;
    std::uint64_t stride_ = 0;
    std::vector<std::byte> data_;
    std::vector<std::uint64_t> ends_;  // of elements of any length; else empty
    std::vector<bool> missing_;        // empty: all are there
    std::shared_ptr<object_contents> keys_;
};

struct verify_options {
    /// Decodes every element, too.
    bool deep = false;
    /// How long to wait for a moment in which nobody writes, in milliseconds.
    std::uint32_t patience_ms = 3000;
};

/// What a check found.
struct verification {
    std::vector<std::string> problems;  // empty: every invariant holds
    std::vector<std::string>
        notes;  // what is no problem: an operation of a dead process, taken back in the copy
    std::vector<std::string> busy;   // what could not be checked, because it never stood still
    std::uint64_t object_count = 0;  // checked
    std::uint64_t page_count = 0;
    std::uint64_t item_count = 0;

    [[nodiscard]] bool is_clean() const noexcept { return problems.empty() && busy.empty(); }
};

/// One segment, looked at from outside. Each call looks anew. Safety: thread-safe for calls on different objects.
class CAIRN_API inspection {
public:
    static constexpr std::uint64_t everything = std::numeric_limits<std::uint64_t>::max();

    /// @throws no_such_segment, permission_denied, corrupt_segment, version_mismatch, system_failure
    explicit inspection(const segment_location& where);
    explicit inspection(std::string_view target) : inspection(locate_segment(target)) {}
    inspection(inspection&&) noexcept;
    inspection& operator=(inspection&&) noexcept;
    ~inspection();

    [[nodiscard]] const segment_location& location() const noexcept;
    [[nodiscard]] segment_facts facts() const;
    [[nodiscard]] std::vector<participant_facts> participants() const;
    /// Sorted by name. `with_items` false leaves out what wants a look at the object's memory.
    [[nodiscard]] std::vector<object_facts> objects(bool with_items = true) const;
    /// @throws no_such_object
    [[nodiscard]] object_facts object(std::string_view name) const;
    /// The pools of the segment, sorted by name. Those whose node makes no sense have a note, and nothing else.
    [[nodiscard]] std::vector<pool_facts> pools() const;
    /// The sets of services of the segment, sorted by name. As pools(); where one of its services makes no sense, a set has a note, and
    /// those before that one.
    [[nodiscard]] std::vector<service_set_facts> service_sets() const;
    /// Elements first, first + 1 ... of the object, `count` at most.
    /// @throws no_such_object, corrupt_segment  its node makes no sense, so that nothing can be said of its elements
    [[nodiscard]] object_contents contents(std::string_view name, std::uint64_t first = 0,
                                           std::uint64_t count = everything) const;
    /// Every invariant of the segment and of each object. A segment in use is copied, and of the copy only what stood
    /// still meanwhile is checked; the rest is copied again until the patience is at its end. No false alarms.
    [[nodiscard]] verification verify(const verify_options& options = {}) const;

private:
    struct state;
    struct drop_state {
        void operator()(state* dropped) const noexcept;
    };
    detail::owner<state, drop_state> state_;
};

// ---- tidying up --------------------------------------------------------------------------------------------------------

struct collect_result {
    bool is_removed = false;               // or would be
    std::uint32_t forgotten_count = 0;     // entries of participants that have died
    std::uint32_t live_process_count = 0;  // that keep it
    bool is_persistent = false;            // which keeps it, too
};

/// Under the segment's own lock: forgets participants that have died; removes the name when no living process is
/// attached and the segment is not persistent. What a dead holder of the lock left is repaired on the way.
/// `dry_run` only looks.
/// @throws no_such_segment, permission_denied, corrupt_segment, version_mismatch, refused, system_failure
CAIRN_API collect_result collect_segment(const segment_location& where, bool dry_run = false);

/// Takes the name away whoever uses it; who is attached goes on. By the segment's own lock when it can be opened,
/// otherwise (`force`: damaged, of another format, boot or pid namespace) by removing the file if it is still this one.
/// @throws no_such_segment, permission_denied, corrupt_segment, version_mismatch, refused, invalid_argument
CAIRN_API void remove_segment(const segment_location& where, bool force = false);

}  // namespace cairn::inline CAIRN_ABI
