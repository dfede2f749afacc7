// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/os/thread_state.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <new>
#include <system_error>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/never_destroyed.hpp"
#include "os/fault.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include <cairn/detail/base/thread_sanitizer.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::uint64_t mark_before_first_use = 3;
std::uint64_t* wiped_page = nullptr;
std::uint64_t last_mark = 4;

static_assert(sizeof(robust_list_words) == sizeof(robust_list_head) &&
              offsetof(robust_list_words, futex_offset) == offsetof(robust_list_head, futex_offset) &&
              offsetof(robust_list_words, pending) == offsetof(robust_list_head, list_op_pending));

// A robust mutex of the C library's, locked.
class locked_probe {
public:
    locked_probe() noexcept {
        pthread_mutexattr_t attributes;
        is_locked_ = pthread_mutexattr_init(&attributes) == 0 &&
                     pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                     pthread_mutex_init(&mutex_, &attributes) == 0 && pthread_mutex_trylock(&mutex_) == 0;
    }
    locked_probe(const locked_probe&) = delete;
    locked_probe& operator=(const locked_probe&) = delete;
    ~locked_probe() {
        if (is_locked_) pthread_mutex_unlock(&mutex_);
    }
    [[nodiscard]] bool is_locked() const noexcept { return is_locked_; }
    [[nodiscard]] const void* entry() const noexcept { return &mutex_.__data.__list.__next; }
    [[nodiscard]] const void* previous() const noexcept { return mutex_.__data.__list.__prev; }
    [[nodiscard]] const void* next() const noexcept { return mutex_.__data.__list.__next; }

private:
    pthread_mutex_t mutex_ = {};
    bool is_locked_ = false;
};

// The list that the kernel walks, null if this thread has none.
robust_list_head* list_of_kernel() {
    int error = os::injected_fault("get_robust_list");
    robust_list_head* head = nullptr;
    std::size_t bytes = 0;
    if (error == 0 && ::syscall(SYS_get_robust_list, 0, &head, &bytes) != 0) error = errno;
    if (error != 0) {
        const std::error_code code(error, std::generic_category());
        throw refused("use of a segment: refused: this kernel, or what emulates one, keeps no robust lists "
                      "(get_robust_list), so it would not release the locks of who dies: " +
                          code.message(),
                      code);
    }
    return head;
}

// The same, if it is the C library's, and linked as our locks are. Locks two mutexes of the C library's and looks whether
// they are there; null if not.
robust_list_words* list_of_our_locks() {
    robust_list_head* const head = list_of_kernel();
    if (head == nullptr) return nullptr;
    const void* const last = head->list.next;
    const locked_probe outer;
    const locked_probe inner;
    const bool is_ours = outer.is_locked() && inner.is_locked() &&
                         head->futex_offset == robust_futex_offset && head->list.next == inner.entry() &&
                         inner.previous() == &head->list && inner.next() == outer.entry() &&
                         outer.previous() == inner.entry() && outer.next() == last;
    return is_ours ? reinterpret_cast<robust_list_words*>(head) : nullptr;
}

}  // namespace

constinit thread_local thread_state this_thread;
constinit std::uint64_t* process_mark = &mark_before_first_use;

namespace {

// All threads that use Cairn, newest first.
constinit never_destroyed<std::mutex> threads_mutex;
thread_state* first_thread = nullptr;

// Threads that were taken from the list while they held locks: the kernel releases these a little later, when it is done with
// the thread. Chosen freely; beyond it nobody knows.
constexpr std::size_t most_ending = 64;
std::uint32_t ending_threads[most_ending];
std::size_t ending_count = 0;

void remember_ending(std::uint32_t thread) noexcept {
    if (ending_count < most_ending) ending_threads[ending_count] = thread;
    if (ending_count <= most_ending) ++ending_count;
}

bool is_any_ending() noexcept {
    if (ending_count > most_ending) return true;
    const auto is_gone = [](std::uint32_t thread) {
        return ::syscall(SYS_tgkill, ::getpid(), thread, 0) != 0 && errno == ESRCH;
    };
    ending_count = static_cast<std::size_t>(
        std::remove_if(ending_threads, ending_threads + ending_count, is_gone) - ending_threads);
    return ending_count != 0;
}

void remove_from_list(void* state) noexcept {
    const std::lock_guard held(threads_mutex.get());
    thread_state** link = &first_thread;
    while (*link != nullptr && *link != state) link = &(*link)->next;
    if (*link != nullptr) *link = (*link)->next;
    auto& thread = *static_cast<thread_state*>(state);
    thread.is_listed = false;
    if (thread.held_count != 0) remember_ending(thread.thread_id);
    thread.checked = 1;  // what still runs at this thread's end lists it again
}

// Takes threads from the list at their ends. Not a thread_local object: registering its destructor takes the loader's lock,
// which a forked child may find taken. Until the library is unloaded, or the process exits.
class end_of_thread {
public:
    constexpr end_of_thread() noexcept = default;
    end_of_thread(const end_of_thread&) = delete;
    end_of_thread& operator=(const end_of_thread&) = delete;
    ~end_of_thread() {
        const std::lock_guard held(threads_mutex.get());
        if (is_made_) pthread_key_delete(key_);
        is_made_ = false;
        is_over = true;
    }
    /// An errno, or 0.
    [[nodiscard]] int prepare() noexcept {
        const int error = is_made_ ? 0 : pthread_key_create(&key_, remove_from_list);
        is_made_ = error == 0;
        return error;
    }
    /// Threads that end from now on are not missed any more.
    static inline bool is_over = false;
    [[nodiscard]] bool watch(const thread_state* thread) const noexcept {
        return is_made_ && pthread_setspecific(key_, thread) == 0;
    }

private:
    pthread_key_t key_ = 0;
    bool is_made_ = false;
};

constinit end_of_thread thread_end;

bool add_to_list() noexcept {
    if (this_thread.is_listed) return true;
    const std::lock_guard held(threads_mutex.get());
    if (end_of_thread::is_over) return true;
    if (!thread_end.watch(&this_thread)) return false;
    this_thread.next = first_thread;
    first_thread = &this_thread;
    this_thread.is_listed = true;
    return true;
}

// Of another thread, which changes it all the time: the answer is of some moment.
CAIRN_UNCHECKED_BY_TSAN bool is_in_operation(const thread_state& thread) noexcept {
    return *const_cast<open_transaction* const volatile*>(&thread.open) != nullptr;
}

}  // namespace

int prepare_list_of_threads() noexcept {
    return thread_end.prepare();
}

bool is_any_thread_in_operation() noexcept {
    const std::lock_guard held(threads_mutex.get());
    if (end_of_thread::is_over) return true;  // nobody knows
    for (const thread_state* each = first_thread; each != nullptr; each = each->next)
        if (is_in_operation(*each)) return true;
    return false;
}

namespace {

// Of another thread, which has let go of its handles: what it had taken before is seen here.
CAIRN_UNCHECKED_BY_TSAN bool holds_any_in(const thread_state& thread, std::uint64_t begin,
                                          std::uint64_t bytes) noexcept {
    const std::uint32_t count = thread.held_count;
    if (count == only_lock) return thread.few_held[0].entry - begin < bytes;
    if (count > thread.held_room) return true;  // not all of them are known
    for (std::uint32_t i = 0; i < count; ++i)
        if (thread.held[i].entry - begin < bytes) return true;
    return false;
}

}  // namespace

bool is_any_lock_held_in(const void* begin, std::uint64_t bytes) noexcept {
    const std::lock_guard held(threads_mutex.get());
    if (end_of_thread::is_over || is_any_ending()) return true;
    for (const thread_state* each = first_thread; each != nullptr; each = each->next)
        if (holds_any_in(*each, reinterpret_cast<std::uint64_t>(begin), bytes)) return true;
    return false;
}

bool is_raw_child() noexcept {
    return *process_mark == 0;
}

bool renew_process_mark() noexcept {
    if (wiped_page == nullptr && os::map_wiped_on_fork(wiped_page)) return false;
    last_mark += 2;
    *wiped_page = last_mark;
    process_mark = wiped_page;
    return true;
}

void abandon_open_transactions() noexcept {
    for (open_transaction* t = this_thread.open; t != nullptr; t = t->outer) t->is_inert = true;
    new (&threads_mutex.get()) std::mutex;  // a thread that is not here may have held it
    first_thread = this_thread.is_listed ? &this_thread : nullptr;
    this_thread.next = nullptr;
    ending_count = 0;
    this_thread.open = nullptr;
    this_thread.held_count = 0;
    this_thread.in_segment_lock = false;
    this_thread.limit = nullptr;
}

void check_thread() {
    if (is_raw_child()) {
        throw refused("use of a segment: refused in a process made by a raw clone(): the C library does not "
                      "know its thread id, "
                      "so its locks could not be told from its parent's; use fork() or cairn::process");
    }
    robust_list_words* const list = list_of_our_locks();
    if (list == nullptr) {
        throw refused(
            "use of a segment: refused in this thread: another library has replaced its robust list "
            "(set_robust_list), so the kernel would not release its locks when it dies; use another thread");
    }
    if (!add_to_list())
        throw system_failure("use of a segment: no memory for what is kept of each thread",
                             {ENOMEM, std::generic_category()});
    this_thread.robust_list = list;
    if (this_thread.held == nullptr) {
        this_thread.held = this_thread.few_held;
        this_thread.held_room = few_held_locks;
    }
    this_thread.thread_id = static_cast<std::uint32_t>(os::thread_id());
    this_thread.checked = *process_mark;
}

}  // namespace cairn::inline CAIRN_ABI::detail
