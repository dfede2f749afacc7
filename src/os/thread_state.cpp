#include "cairn/detail/os/thread_state.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/fault.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/error.hpp>

namespace cairn::inline v0::detail {

namespace {

std::uint64_t mark_before_first_use = 3;
std::uint64_t* wiped_page = nullptr;
std::uint64_t last_mark = 4;

// Locks a robust mutex and looks whether the kernel would find it: it walks the list that get_robust_list names.
bool kernel_sees_our_locks() {
    if (os::injected_fault("get_robust_list") != 0) return false;
    stored_mutex probe = {};
    initialize(probe);
    if (pthread_mutex_trylock(&probe.mutex) != 0) return false;
    robust_list_head* head = nullptr;
    std::size_t bytes = 0;
    const bool known = ::syscall(SYS_get_robust_list, 0, &head, &bytes) == 0 && head != nullptr;
    const void* first = known ? head->list.next : nullptr;
    const bool found = first == static_cast<const void*>(&probe.mutex.__data.__list.__next);
    pthread_mutex_unlock(&probe.mutex);
    pthread_mutex_destroy(&probe.mutex);
    return found;
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
    this_thread.in_segment_lock = false;
}

void check_thread() {
    if (*process_mark == 0) {
        throw refused("use of a segment: refused in a process made by a raw clone(): the C library does not "
                      "know its thread id, "
                      "so its locks could not be told from its parent's; use fork() or cairn::process");
    }
    if (!kernel_sees_our_locks()) {
        throw refused(
            "use of a segment: refused in this thread: another library has replaced its robust list "
            "(set_robust_list), so the kernel would not release its locks when it dies; use another thread");
    }
    this_thread.thread_id = static_cast<std::uint32_t>(os::thread_id());
    this_thread.checked = *process_mark;
}

}  // namespace cairn::inline v0::detail
