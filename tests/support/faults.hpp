// faults.hpp - the n-th call through os/ fails.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cerrno>
#include <functional>
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>

namespace cairn_test {

/// While it lives, the n-th call that os/ is about to make fails with `error`; the others go through, as do those of
/// forked children.
class nth_call_fails {
public:
    nth_call_fails(int n, int error) {
        left() = n;
        code() = error;
        name() = nullptr;
        owner() = ::getpid();
        cairn::detail::os::fault.store(&decide);
    }
    ~nth_call_fails() { cairn::detail::os::fault.store(nullptr); }
    nth_call_fails(const nth_call_fails&) = delete;
    nth_call_fails& operator=(const nth_call_fails&) = delete;

    /// The call that failed; null while there were fewer than n.
    [[nodiscard]] static const char* failed() { return name(); }

private:
    static std::atomic<int>& left() {
        static std::atomic<int> value{0};
        return value;
    }
    static std::atomic<int>& code() {
        static std::atomic<int> value{0};
        return value;
    }
    static std::atomic<const char*>& name() {
        static std::atomic<const char*> value{nullptr};
        return value;
    }
    static std::atomic<pid_t>& owner() {
        static std::atomic<pid_t> value{0};
        return value;
    }
    static int decide(const char* call) noexcept {
        if (::getpid() != owner()) return 0;
        if (left().fetch_sub(1) != 1) return 0;
        name() = call;
        return code();
    }
};

/// For each error and every n, or each `step`-th: runs `operation` with the n-th call failing, until it makes fewer than n calls. What is
/// thrown must be a cairn::error that contains `named`; `check(threw)` says whether all is as it should be. Returns how
/// often it threw.
inline int fail_every_call(const std::string& named, const std::function<void()>& operation,
                           const std::function<void(bool threw)>& check, int step = 1) {
    int thrown = 0;
    for (const int error : {ENOSPC, ENOMEM, EMFILE, EINTR, EPERM, EAGAIN}) {
        CAPTURE(error);
        for (int n = 1;; n += step) {
            CAPTURE(n);
            bool threw = false;
            std::string text;
            const char* failed = nullptr;
            {
                const nth_call_fails fault(n, error);
                try {
                    operation();
                } catch (const cairn::error& e) {
                    threw = true;
                    text = e.what();
                }
                failed = nth_call_fails::failed();
            }
            const std::string call = failed == nullptr ? "none" : failed;
            CAPTURE(call);
            CAPTURE(text);
            if (threw) {
                ++thrown;
                CHECK(failed != nullptr);
                CHECK(contains(text, named));
            }
            check(threw);
            if (failed == nullptr) break;
            REQUIRE(n < 1000);
        }
    }
    return thrown;
}

}  // namespace cairn_test
