// SPDX-License-Identifier: BSL-1.0
#include "pool/ancestor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "executors/per_process.hpp"
#include "os/child.hpp"
#include "os/descriptor_passing.hpp"
#include "os/file.hpp"
#include "os/probe.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "pool/inherited.hpp"
#include "pool/loaded_code.hpp"
#include "process/stdio.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include "segment/registry.hpp"
#include <cairn/error.hpp>
#include <cairn/nursery.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

// How long its owner waits for an answer of the ancestor, which may be stopped.
constexpr milliseconds longest_answer{10'000};
constexpr milliseconds between_owner_looks{1000};
constexpr int looks_for_threads = 10;  // a millisecond apart

// With the segment's descriptor, and the bell's.
struct guardian_request {
    std::uint64_t slot;  // offset
    std::uint64_t generation;
    std::uint64_t node;
    pool_id id;
    time_limit timeout;
    time_limit idle_timeout;
    std::uint64_t max_tasks_per_worker;
    std::uint64_t max_worker_memory;
    std::uint64_t bell_number;
    std::uint32_t place_count;
    std::int32_t retries;
    std::uint32_t user;
    std::uint32_t group;
    std::uint32_t keeps_orphans;
    std::int32_t oom_score_adj;
    std::uint32_t name_bytes;
    std::array<char, 64> name;
};
static_assert(std::is_trivially_copyable_v<guardian_request>);

enum class answer_kind : std::uint32_t { made, other_user, failed };

// With the guardian's pidfd.
struct guardian_answer {
    answer_kind kind;
    std::int32_t error;  // errno
    std::int32_t guardian;
    std::array<char, 244> text;
};
static_assert(std::is_trivially_copyable_v<guardian_answer>);

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) noexcept {
    return std::as_bytes(std::span(&message, 1));
}

// -- the ancestor ---------------------------------------------------------------------------------------------------

class ancestor_process {
public:
    ancestor_process(os::unique_fd owner, os::unique_fd socket, std::vector<int> keep,
                     std::vector<loaded_object> loaded)
        : owner_(std::move(owner)), socket_(std::move(socket)), keep_(std::move(keep)),
          loaded_(std::move(loaded)) {
        os::block_all_signals();
        os::name_own_thread("cairn-ancestor");
        forget_inherited_output();
        leave_other_segments(nullptr);
        std::vector<int> kept = keep_;
        kept.push_back(owner_.get());
        kept.push_back(socket_.get());
        close_inherited_descriptors(std::move(kept));
        static_cast<void>(os::open_child_signal(signal_));
    }

    [[noreturn]] void run() {
        for (;;) {
            const std::array<int, 3> fds{owner_.get(), signal_.get(), socket_.get()};
            std::array<bool, 3> readable{};
            os::wait_for_any(fds, readable, between_owner_looks);
            if (readable[0]) os::end_process(0);
            if (readable[1]) os::drain_child_signal(signal_.get());
            int code = 0;
            bool has_children = true;
            while (os::reap_any(code, has_children) != 0) {}
            if (readable[2]) answer_one();
        }
    }

private:
    void answer_one() {
        guardian_request request{};
        std::array<os::unique_fd, 2> fds;
        std::size_t bytes = 0;
        if (os::receive_message(socket_.get(), std::as_writable_bytes(std::span(&request, 1)), bytes, fds))
            return;
        if (bytes == 0) os::end_process(0);  // nobody can ask any more
        guardian_answer answer{};
        os::unique_fd pidfd;
        if (bytes != sizeof request || request.name_bytes > request.name.size()) {
            answer.kind = answer_kind::failed;
            answer.error = EBADMSG;
        } else if (request.user != ::geteuid() || request.group != ::getegid()) {
            answer.kind = answer_kind::other_user;
        } else {
            make_guardian(request, fds, answer, pidfd);
        }
        const int passed = pidfd.get();
        static_cast<void>(
            os::send_message(socket_.get(), bytes_of(answer), std::span(&passed, pidfd.valid() ? 1U : 0U)));
    }

    void make_guardian(const guardian_request& request, std::span<os::unique_fd> fds, guardian_answer& answer,
                       os::unique_fd& pidfd) noexcept {
        try {
            pool_family family;
            family.in = attach(std::move(fds[0]), {}, {});
            family.slot = family.in->find<root_slot>(request.slot);
            if (family.slot == nullptr) throw corrupt_segment("a pool's root lies outside");
            family.generation = request.generation;
            family.node = request.node;
            family.places = &worker_at(*family.in, pool_at(*family.in, request.node), 0);
            family.place_count = request.place_count;
            family.id = request.id;
            family.name.assign(request.name.data(), request.name_bytes);
            family.retries = request.retries;
            family.timeout = request.timeout;
            family.idle_timeout = request.idle_timeout;
            family.max_tasks_per_worker = request.max_tasks_per_worker;
            family.max_worker_memory = request.max_worker_memory;
            family.keeps_orphans = request.keeps_orphans != 0;
            family.oom_score_adj = request.oom_score_adj;
            family.bell = std::move(fds[1]);
            family.bell_number = request.bell_number;
            family.kept_descriptors = keep_;
            family.loaded = loaded_;
            pid_t child = 0;
            if (const auto error = os::fork_process(child)) {
                answer.kind = answer_kind::failed;
                answer.error = error.value();
                return;
            }
            if (child == 0) {
                family.owner_pidfd = std::move(owner_);
                run_guardian(family);
            }
            answer.guardian = child;
            static_cast<void>(os::open_pidfd(child, pidfd));
        } catch (const std::exception& e) {
            answer.kind = answer_kind::failed;
            answer.error = ENOMEM;
            std::snprintf(answer.text.data(), answer.text.size(), "%s", e.what());
        }
    }

    os::unique_fd owner_;
    os::unique_fd socket_;
    os::unique_fd signal_;
    std::vector<int> keep_;
    std::vector<loaded_object> loaded_;
};

[[noreturn]] void run_ancestor(os::unique_fd& owner, os::unique_fd& socket, std::vector<int>& keep,
                               const std::vector<loaded_object>& loaded) noexcept {
    ancestor_process(std::move(owner), std::move(socket), std::move(keep), loaded).run();
}

// -- its owner ------------------------------------------------------------------------------------------------------

struct known_ancestor {
    std::mutex mutex;  // one request at a time
    pid_t pid = 0;     // 0: none
    os::unique_fd pidfd;
    std::vector<std::pair<int, os::file_facts>> kept;
    os::unique_fd socket;
    os::file_facts
        socket_file;  // as it was opened: the program may have closed it, and have another one there
    std::vector<loaded_object> loaded;

    void forget() noexcept {
        os::file_facts now;
        if (os::describe(socket.get(), now) || !now.same_file(socket_file))
            static_cast<void>(socket.release());
        socket.reset();
        // Killed, so that it answers nobody any more. A pid that the program has reaped may be somebody else's.
        if (os::pid_of_pidfd(pidfd.get()) == static_cast<std::uint64_t>(pid)) {
            static_cast<void>(os::signal_by_pidfd(pidfd.get(), SIGKILL));
            bool has_ended = false;
            static_cast<void>(os::wait_readable(pidfd.get(), milliseconds(100), has_ended));
            os::child_status status;
            static_cast<void>(os::try_reap_by_pid(pid, status));
            pidfd.reset();
        } else {
            static_cast<void>(pidfd.release());
        }
        pid = 0;
    }
};

constinit per_process<known_ancestor> own_ancestor;

guardian_request request_for(const pool_family& family) {
    guardian_request request{};
    request.slot = family.in->offset_of(family.slot);
    request.generation = family.generation;
    request.node = family.node;
    request.id = family.id;
    request.timeout = family.timeout;
    request.idle_timeout = family.idle_timeout;
    request.max_tasks_per_worker = family.max_tasks_per_worker;
    request.max_worker_memory = family.max_worker_memory;
    request.bell_number = family.bell_number;
    request.place_count = family.place_count;
    request.retries = family.retries;
    request.user = ::geteuid();
    request.group = ::getegid();
    request.keeps_orphans = family.keeps_orphans ? 1 : 0;
    request.oom_score_adj = family.oom_score_adj;
    request.name_bytes = static_cast<std::uint32_t>(std::min(family.name.size(), request.name.size()));
    std::memcpy(request.name.data(), family.name.data(), request.name_bytes);
    return request;
}

constinit std::atomic<bool> has_warned = false;

}  // namespace

bool fork_by_ancestor(pool_family& family, pid_t& guardian, os::unique_fd& pidfd) {
    known_ancestor* const ancestor = own_ancestor.find();
    if (ancestor == nullptr) return false;
    const std::lock_guard held(ancestor->mutex);
    if (ancestor->pid == 0) return false;
    os::file_facts now;
    if (os::describe(ancestor->socket.get(), now) || !now.same_file(ancestor->socket_file)) {
        ancestor->forget();
        return false;
    }
    const guardian_request request = request_for(family);
    const std::array<int, 2> fds{family.in->internals().descriptor.get(), family.bell.get()};
    guardian_answer answer{};
    std::size_t bytes = 0;
    if (os::send_message(ancestor->socket.get(), bytes_of(request), fds)) {
        ancestor->forget();
        return false;
    }
    // A signal ends a wait early.
    bool is_there = false;
    const auto until = std::chrono::steady_clock::now() + longest_answer;
    for (auto now_is = std::chrono::steady_clock::now(); !is_there && now_is < until;
         now_is = std::chrono::steady_clock::now())
        static_cast<void>(os::wait_readable(ancestor->socket.get(), until - now_is, is_there));
    if (!is_there) {
        const std::error_code late(ETIMEDOUT, std::generic_category());
        // Its answer would be taken for that to the next request.
        ancestor->forget();
        throw system_failure(
            "make " + family.name +
                ": the process that start_nursery() has made does not answer (is it stopped?)",
            late);
    }
    if (os::receive_message(ancestor->socket.get(), std::as_writable_bytes(std::span(&answer, 1)), bytes,
                            std::span(&pidfd, 1)) ||
        bytes != sizeof answer) {
        ancestor->forget();
        return false;
    }
    if (answer.kind == answer_kind::other_user) {
        throw refused("make " + family.name +
                      ": this process has changed its user or group since start_nursery(), and workers would "
                      "still have the old one");
    }
    if (answer.kind == answer_kind::failed) {
        const std::error_code error(answer.error, std::generic_category());
        answer.text.back() = '\0';
        const std::string text = answer.text.data();
        throw system_failure("make " + family.name + ": fork by the process that start_nursery() has made: " +
                                 (text.empty() ? error.message() : text),
                             error);
    }
    guardian = answer.guardian;
    family.loaded = ancestor->loaded;
    return true;
}

std::vector<int> descriptors_kept_by_nursery() {
    std::vector<int> all;
    known_ancestor* const ancestor = own_ancestor.find();
    if (ancestor == nullptr) return all;
    const std::lock_guard held(ancestor->mutex);
    for (const auto& [fd, facts] : ancestor->kept) {
        os::file_facts now;
        if (!os::describe(fd, now) && now.same_file(facts)) all.push_back(fd);
    }
    return all;
}

void warn_of_threads(const char* what) noexcept {
    try {
        if (has_warned.load()) return;
        std::size_t others = os::count_threads_but("cairn-");
        // One of this library's own that was just started may not have its name yet.
        for (int looks = 0; others > 1 && looks < looks_for_threads; ++looks) {
            os::sleep_for(milliseconds(1));
            others = os::count_threads_but("cairn-");
        }
        if (others <= 1 || has_warned.exchange(true)) return;
        std::fprintf(stderr,
                     "cairn: %s is made in a program that has %zu threads. Its workers are copies of the "
                     "program as it "
                     "is now: a lock that another thread holds stays locked there. Call "
                     "cairn::start_nursery() first in "
                     "main.\n",
                     what, others);
    } catch (const std::exception&) {
        // Then without the warning.
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

void start_nursery(const nursery_options& options) {
    const auto refuse = [](const char* what, const std::error_code& error) {
        throw system_failure(std::string("start_nursery: ") + what + ": " + error.message(), error);
    };
    std::vector<std::pair<int, os::file_facts>> kept;
    for (const int fd : options.keep) {
        kept.emplace_back(fd, os::file_facts());
        if (os::describe(fd, kept.back().second))
            throw invalid_argument("start_nursery: descriptor " + std::to_string(fd) + " is not open");
    }
    prepare_process();
    known_ancestor& ancestor = own_ancestor.get();
    const std::lock_guard held(ancestor.mutex);
    if (ancestor.pid != 0) throw invalid_state("start_nursery: it was called before in this process");
    warn_of_threads("the nursery");
    os::unique_fd socket;
    os::unique_fd owner;
    if (const auto error = os::open_socket_pair(ancestor.socket, socket)) refuse("socketpair", error);
    if (const auto error = os::describe(ancestor.socket.get(), ancestor.socket_file)) refuse("fstat", error);
    // The owner opens it, so that it is the owner's, whatever becomes of the pid.
    if (const auto error = os::open_pidfd(os::own_pid(), owner)) refuse("pidfd_open", error);
    ancestor.loaded = loaded_objects();
    std::vector<int> keep = options.keep;
    prepare_worker_exit();
    flush_before_fork();
    pid_t child = 0;
    const os::blocked_signals until_it_is_ready;
    if (const auto error = os::fork_process(child)) refuse("fork", error);
    if (child == 0) run_ancestor(owner, socket, keep, ancestor.loaded);
    ancestor.pid = child;
    ancestor.kept = std::move(kept);
    static_cast<void>(os::open_pidfd(child, ancestor.pidfd));
}

}  // namespace cairn::inline CAIRN_ABI
