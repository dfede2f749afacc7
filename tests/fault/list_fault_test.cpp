// list_fault_test.cpp - operations of a list that must grow its segment, when the system says no at each call.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cerrno>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/faults.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace list_fault_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

// A segment without a free page; the list has a full tail, so that each operation that adds needs memory.
template <typename T>
class full_bed {
    using V = value_of<T>;

public:
    explicit full_bed(const std::string& name)
        : m_(std::string_view(name), {.max_size = 512_MiB, .initial_size = 200'000}), list_(m_.list<T>("l")) {
        for (std::uint64_t i = 0; i < 300; ++i) list_.push_back(V::make(i));
        use_up();
    }

    // Takes all free pages; frees them again when it is let go.
    void use_up() {
        const opened_list<T> inside(list_);
        cairn::detail::segment& s = inside.in();
        const auto fill = m_.list<char>("filler " + std::to_string(++fillers_));
        const opened_list<char> filler(fill);
        cairn::detail::root_transaction tx(s, filler.slot(), filler.generation());
        while (s.control().free_pages != 0) {
            static_cast<void>(tx.take_pages(1, cairn::detail::extent_purpose::large));
            tx.commit();
        }
    }
    void give_up_fillers() {
        for (int i = 1; i <= fillers_; ++i) static_cast<void>(m_.remove("filler " + std::to_string(i)));
    }
    [[nodiscard]] const cairn::list<T>& list() const { return list_; }

private:
    cairn::manager m_;
    cairn::list<T> list_;
    int fillers_ = 0;
};

}  // namespace

TEST_CASE_TEMPLATE(
    "an operation that cannot grow the segment leaves the list as it was, and works afterwards", T, long,
    large_struct, std::string) {
    using V = value_of<T>;
    std::vector<T> many;
    for (std::uint64_t i = 0; i < 4000; ++i) many.push_back(V::make(i));
    const std::vector<std::pair<std::string, std::function<void(const cairn::list<T>&)>>> operations = {
        {"append",
         [&](const auto& l) {
             for (std::uint64_t i = 0; i < 600; ++i) l.push_back(V::make(i));
         }},
        {"extend", [&](const auto& l) { l.extend(many); }},
        {"insert",
         [&](const auto& l) {
             for (std::uint64_t i = 0; i < 400; ++i) l.insert(i, V::make(i));
         }},
        {"sort", [&](const auto& l) { l.sort([](const T& a, const T& b) { return b < a; }); }},
        {"reserve", [&](const auto& l) { l.reserve(l.size() + 100'000); }},
        {"set",
         [&](const auto& l) {
             for (std::uint64_t i = 0; i < 300; ++i) l.set(i, V::make(97 * i));
         }},
        {"update", [&](const auto& l) { l.update(3, [](T& v) { v = V::make(97 * 97); }); }},
    };
    for (const auto& [what, operation] : operations) {
        CAPTURE(what);
        const scratch_name name;
        full_bed<T> bed(name);
        const cairn::list<T>& l = bed.list();
        const footprint before = take_footprint();
        const bool is_one_operation = what != "append" && what != "insert" && what != "set";
        std::vector<T> unchanged = l.snapshot();
        fail_every_call(
            name.get(), [&, &operation = operation] { operation(l); },
            [&](bool threw) {
                const std::vector<T> now = l.snapshot();
                if (threw && is_one_operation) CHECK(now == unchanged);
                for (const T& value : now) REQUIRE(V::is_whole(value));
                CHECK(broken_invariant(l) == "");
                CHECK(take_footprint() == before);
                // And on it goes.
                l.push_back(V::make(5));
                CHECK(l.pop() == V::make(5));
                if (l.size() > 3000) l.erase(300, l.size());
                unchanged = l.snapshot();
                bed.give_up_fillers();
                bed.use_up();
            });
    }
}

TEST_CASE("an operation that cannot grow says what it needed and what the system said, and is segment_full "
          "or a failure") {
    const scratch_name name;
    full_bed<long> bed(name);
    const std::vector<long> many(50'000, 1);
    static std::string_view refused;
    static int error;
    for (const auto& [call, code] : std::vector<std::pair<std::string_view, int>>{
             {"fallocate", ENOSPC}, {"fallocate", ENOMEM}, {"pwritev", ENOSPC}, {"pwritev", ENOMEM}}) {
        refused = call;
        error = code;
        // fstat comes first, then the map and the pages, twice: what is needed may still be there
        cairn::detail::os::fault.store(
            [](const char* called) noexcept { return called == refused ? error : 0; });
        const std::string text = thrown_by<cairn::segment_full>([&] { bed.list().extend(many); });
        cairn::detail::os::fault.store(nullptr);
        CAPTURE(refused);
        CAPTURE(error);
        CHECK(text.starts_with("grow segment '" + name.get() + "' to "));
        CHECK(contains(text, std::generic_category().message(error)));
        CHECK(contains(text, "--shm-size"));
        CHECK(bed.list().size() == 300);
    }
}

TEST_CASE("a log that fits is written in pieces as small as there are") {
    // 8 MiB of elements, as much of log, which by itself would begin its last piece with 16 MiB.
    const cairn::manager m({.max_size = 17'500'000});
    const auto l = m.list<long>("l");
    std::vector<long> descending(1'000'000);
    std::iota(descending.rbegin(), descending.rend(), 0);
    l.extend(descending);
    l.sort();
    CHECK(l.at(0) == 0);
    CHECK(l.at(999'999) == 999'999);
    const std::vector<long> sorted = l.snapshot();
    CHECK(std::is_sorted(sorted.begin(), sorted.end()));
    // Whole or not at all, where it does not fit.
    const auto filler = m.list<char>("filler", std::vector<char>(3'000'000));
    CHECK_THROWS_AS(l.sort(std::greater<>()), cairn::segment_full);
    CHECK(l.at(0) == 0);
    CHECK(l.at(999'999) == 999'999);
}

TEST_CASE("operations that only take away need nothing from the system") {
    const scratch_name name;
    full_bed<std::string> bed(name);
    const auto& l = bed.list();
    cairn::detail::os::fault.store([](const char*) noexcept { return ENOMEM; });
    CHECK_NOTHROW(l.erase(0));
    CHECK_NOTHROW(l.erase(10, 100));
    CHECK_NOTHROW(static_cast<void>(l.pop()));
    CHECK_NOTHROW(static_cast<void>(l.pop(3)));
    CHECK_NOTHROW(l.remove(l.at(5)));
    CHECK_NOTHROW(l.reverse());
    CHECK_NOTHROW(l.clear());
    cairn::detail::os::fault.store(nullptr);
    CHECK(l.empty());
    CHECK(broken_invariant(l) == "");
}

}  // namespace list_fault_test
