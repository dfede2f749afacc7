// scratch.hpp - what a test uses and must not leave behind: names of segments, forked children, directories.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include <cairn/manager.hpp>

namespace cairn_test {

/// A segment name of this test's own; what has it in /dev/shm is removed when this goes, unless a child drops it.
class scratch_name {
public:
    explicit scratch_name(std::string_view stem = "test");
    scratch_name(const scratch_name&) = delete;
    scratch_name& operator=(const scratch_name&) = delete;
    ~scratch_name();

    [[nodiscard]] const std::string& get() const noexcept { return name_; }
    operator const std::string&() const noexcept { return name_; }  // NOLINT(google-explicit-constructor)
    operator std::string_view() const noexcept { return name_; }    // NOLINT(google-explicit-constructor)
    [[nodiscard]] std::string path() const;
    [[nodiscard]] bool exists() const;

private:
    std::string name_;
    pid_t owner_;
};

/// A forked child that runs `body` and ends with _exit: 0 when it returned, 99 (and a line on stderr) when it threw.
/// Whatever becomes of the test, the child is killed and reaped.
class child {
public:
    explicit child(const std::function<void()>& body);
    /// Takes over one that was made in another way.
    explicit child(pid_t pid) noexcept : pid_(pid) {}
    child(child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    child& operator=(child&&) = delete;
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child();

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Its exit code, or minus the signal that ended it. After `watchdog_seconds` it is killed: -1000.
    int join();
    void kill() const;
    /// Waits until it has stopped itself with SIGSTOP.
    void wait_until_stopped() const;
    void resume() const;

    static constexpr int watchdog_seconds = 90;

private:
    pid_t pid_;
};

/// Runs `body` in a child and returns its exit code.
int in_child(const std::function<void()>& body);

/// Ends a forked child from a check: `CHILD_CHECK(x)` prints and leaves with 98.
void child_check(bool holds, const char* what, const char* file, int line);
#define CHILD_CHECK(condition)                                                                               \
    ::cairn_test::child_check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

/// One byte each way between processes: `wait` returns false when the other side is gone.
class gate {
public:
    gate();
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;
    ~gate();
    void open(int count = 1) const;
    bool wait() const;

private:
    int ends_[2];
};

/// What leaks show in.
struct footprint {
    std::size_t descriptors = 0;
    std::size_t mappings = 0;
    std::size_t shm_entries = 0;  // of this test's process: names begin with "cairn." and carry its pid

    bool operator==(const footprint&) const = default;
};
footprint take_footprint();
std::ostream& operator<<(std::ostream& to, const footprint& f);

/// Fields of /proc/self/status in bytes: "VmRSS", "VmSize".
std::size_t memory_status(std::string_view field);

/// Size of sanitized runs: `n`, or a tenth of it (at least one).
constexpr std::size_t scaled(std::size_t n) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return n / 10 + 1;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return n / 10 + 1;
#else
    return n;
#endif
#else
    return n;
#endif
}

constexpr bool is_sanitized = scaled(100) != 100;

/// What `action` throws, as text; empty when it throws nothing. `Error` is the type that is wanted.
template <typename Error, typename Action>
std::string thrown_by(Action&& action) {
    try {
        std::forward<Action>(action)();
    } catch (const Error& e) {
        return e.what();
    } catch (const std::exception& e) {
        return std::string("another type: ") + e.what();
    }
    return {};
}

inline bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace cairn_test
