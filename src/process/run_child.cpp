// SPDX-License-Identifier: BSL-1.0
#include "process/run_child.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <cxxabi.h>

#include "os/child.hpp"
#include "process/parent_watch.hpp"
#include "process/stdio.hpp"
#include "segment/farewell.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::atomic<unsigned> children_named = 0;

[[noreturn]] void end_child(child_report& report, int code) noexcept {
    flush_before_end();
    say_farewell();
    report.record_exit_code(code);
    os::end_process(code);
}

// exit() runs its handlers newest first. This one is registered before the callable starts, so what the callable
// registers runs before it; what the parent had registered would come after it, but the process ends here.
void end_by_exit(int code, void* report) noexcept {
    end_child(*static_cast<child_report*>(report), code);
}

void print_exception(const std::string& name, const child_report& report) noexcept {
    const std::string_view type = report.type();
    const std::string_view text = report.text();
    const bool says_type = type != "unknown";  // else the text does
    std::fprintf(stderr, "cairn: process '%s' (pid %d) ended by %.*s%s%.*s\n", name.c_str(),
                 static_cast<int>(os::own_pid()), says_type ? static_cast<int>(type.size()) : 0, type.data(),
                 says_type ? ": " : "", static_cast<int>(text.size()), text.data());
}

void prepare_child(child_start& start) {
    forget_inherited_output();
    // relaxed: the child has one thread
    children_named.store(0, std::memory_order_relaxed);
    const auto refuse = [&start](const char* what, int error) {
        const std::error_code code(error, std::generic_category());
        throw system_failure("start process '" + start.name + "': " + what + ": " + code.message(), code);
    };
    // Takes a lock of the C library that fork does not reset; it is held for nanoseconds, by threads that construct a
    // static object, and C++ code in the child needs it for the same purpose anyway.
    if (::on_exit(&end_by_exit, &start.report) != 0) refuse("exit handler", ENOMEM);
    if (start.is_daemon) {
        if (const auto error = die_with_parent(std::move(start.parent_pidfd), start.parent_pid)) {
            refuse("thread that watches the parent", error.value());
        }
    }
}

}  // namespace

void run_child(child_start start) noexcept {
    int code = 0;
    try {
        prepare_child(start);
        start.task.run(start.task.callable);
    } catch (const abi::__forced_unwind&) {
        // pthread_exit or cancellation. It must not be swallowed, and is not: the process ends here.
        end_child(start.report, 0);
    } catch (...) {
        code = 1;
        start.report.record_current_exception();
        print_exception(start.name, start.report);
    }
    end_child(start.report, code);
}

std::string next_process_name() {
    // relaxed: the number only has to be another one each time
    return "process-" + std::to_string(children_named.fetch_add(1, std::memory_order_relaxed) + 1);
}

}  // namespace cairn::inline CAIRN_ABI::detail
