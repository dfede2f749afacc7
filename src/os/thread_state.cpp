// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/os/thread_state.hpp"

#include <cerrno>
#include <cstddef>
#include <system_error>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/fault.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
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

bool renew_process_mark() noexcept {
    if (wiped_page == nullptr && os::map_wiped_on_fork(wiped_page)) return false;
    last_mark += 2;
    *wiped_page = last_mark;
    process_mark = wiped_page;
    return true;
}

void abandon_open_transactions() noexcept {
    for (open_transaction* t = this_thread.open; t != nullptr; t = t->outer) t->is_inert = true;
    this_thread.open = nullptr;
    this_thread.held_count = 0;
    this_thread.in_segment_lock = false;
}

void check_thread() {
    if (*process_mark == 0) {
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
    this_thread.robust_list = list;
    if (this_thread.held == nullptr) {
        this_thread.held = this_thread.few_held;
        this_thread.held_room = few_held_locks;
    }
    this_thread.thread_id = static_cast<std::uint32_t>(os::thread_id());
    this_thread.checked = *process_mark;
}

}  // namespace cairn::inline CAIRN_ABI::detail
