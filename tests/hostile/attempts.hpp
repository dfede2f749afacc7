// attempts.hpp - operations on damaged segments, one after the other: each ends in a result or a cairn::error.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <cairn/error.hpp>

namespace cairn_test {

/// Which operation runs, where another process can see it, and what came of all so far.
struct attempt_log {
    char doing[120] = {};
    std::uint64_t results = 0;
    std::uint64_t errors = 0;
    char failure[400] = {};  // the first end that is neither: "threw std::bad_alloc: ..."
};

class attempts {
public:
    explicit attempts(attempt_log& log) : log_(log) {}

    /// What the names of the next operations begin with.
    void begin(std::string prefix) { prefix_ = std::move(prefix); }

    template <typename Action>
    void operator()(const char* operation, Action&& action) {
        note(log_.doing, prefix_ + operation);
        try {
            std::forward<Action>(action)();
            ++log_.results;
        } catch (const cairn::error&) {
            ++log_.errors;
        } catch (const std::bad_alloc& e) {
            fail(std::string("threw std::bad_alloc: ") + e.what());
        } catch (const std::length_error& e) {
            fail(std::string("threw std::length_error: ") + e.what());
        } catch (const std::exception& e) {
            fail(std::string("threw what is no cairn::error: ") + e.what());
        }
    }

    void fail(const std::string& how) {
        if (log_.failure[0] == '\0') note(log_.failure, how + ", in " + log_.doing);
    }

private:
    template <std::size_t Count>
    static void note(char (&to)[Count], const std::string& text) {
        const std::size_t count = text.copy(to, Count - 1);
        to[count] = '\0';
    }

    attempt_log& log_;
    std::string prefix_;
};

}  // namespace cairn_test
