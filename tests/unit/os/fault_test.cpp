// fault_test.cpp - the hook by which tests make the system say no: it is asked before each call, by its name.
// SPDX-License-Identifier: BSL-1.0
#include "os/fault.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include "os/child.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/probe.hpp"
#include "support/faults.hpp"
#include "support/scratch_directory.hpp"

namespace fault_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

// The calls that were asked about, in order; none fails, but for one that is interrupted so many times.
std::vector<std::string>& asked() {
    static std::vector<std::string> names;
    return names;
}
std::atomic<int> interruptions{0};

class listening {
public:
    listening() {
        asked().clear();
        os::fault.store([](const char* call) noexcept {
            asked().emplace_back(call);
            return interruptions.fetch_sub(1) > 0 ? EINTR : 0;
        });
    }
    explicit listening(int interrupted) : listening() { interruptions = interrupted; }
    listening(const listening&) = delete;
    listening& operator=(const listening&) = delete;
    ~listening() {
        os::fault.store(nullptr);
        interruptions = 0;
    }
};

struct named_call {
    const char* name;
    std::function<std::error_code()> make;
};

}  // namespace

TEST_CASE("without a hook no call fails") {
    REQUIRE((os::fault.load() == nullptr));
    CHECK(os::injected_fault("open") == 0);
}

TEST_CASE("each call asks by its name, and fails with what the hook answers") {
    const scratch_directory directory;
    os::unique_fd file;
    REQUIRE_FALSE(os::create_nameless(directory.path(), 0600, file));
    os::unique_fd memfd;
    REQUIRE_FALSE(os::create_anonymous("cairn-test", memfd));
    os::file_facts facts;
    os::unique_fd fd;
    os::mapping mapping;
    os::private_memory memory;
    std::vector<std::string> names;
    os::child_status status;
    bool readable = false;
    void* shared = nullptr;
    const std::vector<named_call> calls = {
        {"open", [&] { return os::create_nameless(directory.path(), 0600, fd); }},
        {"memfd_create", [&] { return os::create_anonymous("cairn-test", fd); }},
        {"linkat", [&] { return os::link_file(file, directory / "never"); }},
        {"open", [&] { return os::open_existing(directory.path(), false, fd); }},
        {"open", [&] { return os::open_for_reading(directory.path(), true, fd); }},
        {"fstat", [&] { return os::describe(file.get(), facts); }},
        {"lstat", [&] { return os::describe(directory.path(), facts); }},
        {"unlink", [&] { return os::remove_file(directory / "never"); }},
        {"fchmod", [&] { return os::set_mode(file, 0600); }},
        {"fallocate", [&] { return os::allocate(file.get(), 0, 4096); }},
        {"pwritev", [&] { return os::write_zeros(file.get(), 0, 4096); }},
        {"ftruncate", [&] { return os::set_size(file, 4096); }},
        {"fcntl", [&] { return os::seal_against_shrinking(memfd); }},
        {"fallocate", [&] { return os::punch(file.get(), 0, 4096); }},
        {"opendir", [&] { return os::list_directory(directory.path(), names); }},
        {"mmap", [&] { return os::mapping::create(file.get(), 4096, os::map_access::read_write, mapping); }},
        {"mmap", [&] { return os::private_memory::create(4096, memory); }},
        {"mmap", [&] { return os::map_shared_with_children(4096, shared); }},
        {"pidfd_open", [&] { return os::open_pidfd(os::own_pid(), fd); }},
        {"eventfd", [&] { return os::open_always_readable(fd); }},
        {"pidfd_send_signal", [&] { return os::signal_by_pidfd(-1, 0); }},
        {"kill", [&] { return os::signal_by_pid(os::own_pid(), 0); }},
        {"waitid", [&] { return os::try_reap_by_pid(os::own_pid(), status); }},
        {"poll", [&] { return os::wait_readable(file.get(), std::chrono::nanoseconds(0), readable); }},
        {"pthread_create", [&] { return os::start_quiet_thread([](void* p) { return p; }, nullptr); }},
        {"fork",
         [&] {
             pid_t child = -1;
             return os::fork_process(child);
         }},
    };
    for (const named_call& call : calls) {
        CAPTURE(call.name);
        const nth_call_fails fault(1, EDQUOT);
        CHECK(call.make() == std::error_code(EDQUOT, std::generic_category()));
        REQUIRE(nth_call_fails::failed() != nullptr);
        CHECK(std::string(nth_call_fails::failed()) == call.name);
    }
    CHECK_FALSE(fd.valid());
    CHECK(shared == nullptr);
    CHECK(names.empty());
}

TEST_CASE("a call that was interrupted is made again, and asks again") {
    const scratch_directory directory;
    os::unique_fd fd;
    const listening hook(3);
    CHECK_FALSE(os::create_nameless(directory.path(), 0600, fd));
    CHECK(fd.valid());
    CHECK(asked() == std::vector<std::string>{"open", "open", "open", "open"});
}

}  // namespace fault_test
