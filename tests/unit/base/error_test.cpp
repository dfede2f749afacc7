// error_test.cpp - all that Cairn throws has one base, and a code where the system said no.
// SPDX-License-Identifier: BSL-1.0
#include <cerrno>
#include <exception>
#include <ostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <cairn/error.hpp>

namespace error_test {

namespace {

// Throws `e` and returns the name of the first handler that fits; they stand in the order a user would write them.
template <typename Thrown, typename First>
std::string caught_by(const Thrown& e) {
    try {
        throw e;
    } catch (const First&) {
        return "itself";
    } catch (const cairn::error&) {
        return "cairn::error";
    } catch (...) {
        return "something else";
    }
}

struct nobody {};

}  // namespace

#define CAIRN_MADE_FROM_TEXT                                                                                 \
    cairn::segment_exists, cairn::no_such_segment, cairn::no_such_object, cairn::type_mismatch,              \
        cairn::version_mismatch, cairn::corrupt_segment, cairn::permission_denied, cairn::segment_full,      \
        cairn::object_gone, cairn::object_poisoned, cairn::refused, cairn::index_error, cairn::key_error,    \
        cairn::invalid_name, cairn::invalid_argument, cairn::invalid_state, cairn::would_deadlock,           \
        cairn::queue_closed, cairn::timeout_error, cairn::broken_barrier, cairn::cancelled_error,            \
        cairn::rejected_submission, cairn::worker_died, cairn::initializer_failed, cairn::system_failure

TEST_CASE_TEMPLATE("each error is caught as itself, as error, as runtime_error and as exception", E,
                   CAIRN_MADE_FROM_TEXT) {
    const E e("get from list 'l': index 8, size 8");
    CHECK(caught_by<E, E>(e) == "itself");
    CHECK(caught_by<E, nobody>(e) == "cairn::error");
    // A second standard base would make these two ambiguous, and the handlers miss it.
    CHECK_THROWS_AS(throw e, std::runtime_error);
    CHECK_THROWS_AS(throw e, std::exception);
    CHECK(std::string(e.what()) == "get from list 'l': index 8, size 8");
    static_assert(!std::is_same_v<E, cairn::error> && std::is_convertible_v<E*, std::exception*>);
    static_assert(std::has_virtual_destructor_v<E> && std::is_nothrow_copy_constructible_v<E>);
}

TEST_CASE_TEMPLATE("no error is another one's kind", E, CAIRN_MADE_FROM_TEXT) {
    if constexpr (!std::is_same_v<E, cairn::key_error>)
        CHECK(caught_by<E, cairn::key_error>(E("e")) == "cairn::error");
    if constexpr (!std::is_same_v<E, cairn::system_failure>)
        CHECK(caught_by<E, cairn::system_failure>(E("e")) == "cairn::error");
    CHECK(caught_by<E, cairn::remote_error>(E("e")) == "cairn::error");
}

TEST_CASE_TEMPLATE("code() is what the system said, and empty where it said nothing", E,
                   CAIRN_MADE_FROM_TEXT) {
    CHECK_FALSE(E("e").code());
    const std::error_code full(ENOSPC, std::generic_category());
    const E e("grow segment 'orders': no space", full);
    CHECK(e.code() == full);
    CHECK(e.code() == std::errc::no_space_on_device);
    CHECK(std::string(e.what()) == "grow segment 'orders': no space");  // the words are the thrower's alone
    const E copy = e;
    CHECK(copy.code() == full);
    CHECK(std::string(copy.what()) == e.what());
}

TEST_CASE("code() is there for who catches the base alone") {
    try {
        throw cairn::permission_denied("open segment 'orders'", {EACCES, std::generic_category()});
    } catch (const cairn::error& e) {
        CHECK(e.code() == std::errc::permission_denied);
    }
}

TEST_CASE("a remote error has the type and the text of the exception that it stands for") {
    const cairn::remote_error e("my::trouble", "it broke");
    CHECK(e.type_name() == "my::trouble");
    CHECK(e.text() == "it broke");
    CHECK(std::string(e.what()) == "my::trouble: it broke");
    CHECK_FALSE(e.code());
    CHECK(caught_by<cairn::remote_error, nobody>(e) == "cairn::error");
    cairn::remote_error copy("other", "words");
    copy = e;
    CHECK(copy.type_name() == "my::trouble");
}

}  // namespace error_test
