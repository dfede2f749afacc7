// trim_test.cpp - pages that a segment does not need go back to the system, and are there again when they are needed.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "segment/backing.hpp"
#include "segment/extents.hpp"
#include "segment/segment_guard.hpp"
#include "support/crash/segment_audit.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace trim_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
const std::vector<long> eight_mebibytes(mebibyte, 7);

// The segment is as it was: eight more mebibytes fit and are what they should be.
void use_again(const cairn::manager& m) {
    const auto l = m.list<long>("again");
    l.extend(eight_mebibytes);
    CHECK(l.snapshot() == eight_mebibytes);
    CHECK(m.remove("again"));
}

}  // namespace

TEST_CASE("trim gives back what a removed object had, in the middle and at the end") {
    const cairn::manager m;
    const auto before = m.list<std::string>("before", {"one"});
    m.list<long>("large").extend(eight_mebibytes);
    const auto behind = m.list<std::string>("behind", {std::string(100'000, 'x')});
    CHECK(m.remove("large"));
    const std::uint64_t real = m.stats().real_bytes;
    REQUIRE(real > 8 * mebibyte);
    CHECK(m.trim() >= 8 * mebibyte);
    CHECK(m.stats().real_bytes < mebibyte);
    CHECK(before.at(0) == "one");
    CHECK(behind.at(0) == std::string(100'000, 'x'));
    use_again(m);
}

TEST_CASE("what was given back is there again for whoever needs it, or that is full") {
    const cairn::manager m({.max_size = 64 * mebibyte});
    const opened_list<long> any(m.list<long>("any", {1}));
    segment& s = any.in();
    m.list<long>("large").extend(eight_mebibytes);
    CHECK(m.remove("large"));
    CHECK(m.trim() >= 8 * mebibyte);
    CHECK(audit_segment(s) == "");
    const std::uint64_t trimmed = m.stats().real_bytes;
    {
        // Backed before they are handed out: nobody has touched them.
        segment_guard guard(s);
        reserve_run(guard, 1000);
        static_cast<void>(take_run(guard, nullptr, 1000, extent_purpose::large));
        CHECK(m.stats().real_bytes >= trimmed + 1000 * page_bytes);
    }
    for (const int error : {ENOSPC, ENOMEM}) {
        CHECK(m.trim() >= 1000 * page_bytes);
        static int refused;
        refused = error;
        const auto l = m.list<long>("l");
        cairn::detail::os::fault.store(
            [](const char* call) noexcept { return std::string_view(call) == "fallocate" ? refused : 0; });
        CHECK_THROWS_AS(l.extend(eight_mebibytes), cairn::segment_full);
        cairn::detail::os::fault.store(nullptr);
        CHECK(l.empty());
        CHECK(m.remove("l"));
        use_again(m);
    }
    CHECK(audit_segment(s) == "");
}

TEST_CASE("trim leaves a named segment in a file system of a fixed size as it is") {
    // A look at a page that is gone takes another one there; where there is none, it is SIGBUS.
    const scratch_name name;
    const cairn::manager m(name);
    m.list<long>("large").extend(eight_mebibytes);
    CHECK(m.remove("large"));
    const std::uint64_t real = m.stats().real_bytes;
    // But what it has grown by ahead, and nobody has used.
    CHECK(m.trim() < 2 * mebibyte);
    CHECK(m.stats().real_bytes > 8 * mebibyte);
    CHECK(m.trim() == 0);
    use_again(m);
    CHECK(m.stats().real_bytes < real + mebibyte);
}

TEST_CASE("what a segment has grown by for an operation that fails goes back by itself") {
    constexpr std::uint64_t most = 32 * mebibyte;
    const auto try_all = [](const cairn::manager& m) {
        const auto l = m.list<std::string>("l", {"one"});
        const cairn::segment_stats before = m.stats();
        const std::vector<std::string> too_many(400, std::string(100'000, 'x'));
        const auto is_as_before = [&] {
            const cairn::segment_stats after = m.stats();
            CHECK(after.real_bytes < before.real_bytes + mebibyte);
            CHECK(l.snapshot() == std::vector<std::string>{"one"});
        };
        CHECK_THROWS_AS(l.extend(too_many), cairn::segment_full);
        is_as_before();
        CHECK_THROWS_AS(m.list<std::string>("with contents", too_many), cairn::segment_full);
        is_as_before();
        CHECK_THROWS_AS(l.transaction([&](auto& tx) {
            for (const std::string& each : too_many) tx.push_back(each);
        }),
                        cairn::segment_full);
        is_as_before();
        struct my_own {};
        CHECK_THROWS_AS(l.transaction([&](auto& tx) {
            for (int i = 0; i < 100; ++i) tx.push_back(too_many[0]);
            throw my_own();
        }),
                        my_own);
        is_as_before();
    };
    SUBCASE("from the beginning") {
        try_all(cairn::manager({.max_size = most}));
    }
    SUBCASE("also in a file system of a fixed size") {
        const scratch_name name;
        try_all(cairn::manager(name, {.max_size = most}));
    }
    SUBCASE("but not what it was made with") {
        const cairn::manager m({.max_size = most, .initial_size = 16 * mebibyte});
        const std::uint64_t real = m.stats().real_bytes;
        REQUIRE(real > 15 * mebibyte);
        CHECK_THROWS_AS(
            m.list<std::string>("l").extend(std::vector<std::string>(400, std::string(100'000, 'x'))),
            cairn::segment_full);
        CHECK(m.stats().real_bytes >= real);
        CHECK(m.stats().real_bytes < real + mebibyte);
    }
}

TEST_CASE(
    "what is undone goes back to a file system of a fixed size, as far as nobody has anything behind it") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte});
    const auto l = m.list<std::string>("l", {"one"});
    const auto d = m.dict<long, std::string>("d");
    const auto q = m.queue<std::string>("q");
    const opened_list<std::string> opened(l);
    segment& s = opened.in();
    const std::uint64_t real = m.stats().real_bytes;
    const std::uint64_t shown = s.shown_bytes();
    const std::string large(100'000, 'x');
    const auto undone = [&](const auto& object, const auto& change) {
        CHECK_THROWS_AS(object.transaction([&](auto& tx) {
            for (int i = 0; i < 100; ++i) change(tx, i);
            CHECK(m.stats().real_bytes > real + 8 * mebibyte);
            throw std::domain_error("undone");
        }),
                        std::domain_error);
        CHECK(m.stats().real_bytes < real + mebibyte);
        CHECK(audit_segment(s) == "");
    };
    SUBCASE("of a list, which reads what it has hidden from others") {
        undone(l, [&](auto& tx, int i) {
            tx.push_back(large);
            CHECK(tx.at(static_cast<std::size_t>(i) + 1) == large);
            CHECK(tx.size() == static_cast<std::size_t>(i) + 2);
        });
        CHECK(s.shown_bytes() == shown);
        CHECK(l.snapshot() == std::vector<std::string>{"one"});
    }
    SUBCASE("of a dict") {
        undone(d, [&](auto& tx, int i) {
            tx.set(i, large);
            CHECK(tx.get(i) == large);
        });
        CHECK(d.empty());
    }
    SUBCASE("of a queue") {
        undone(q, [&](auto& tx, int i) {
            CHECK(tx.try_put(large));
            if (i % 10 == 9) CHECK(tx.try_get() == large);
        });
        CHECK(q.empty());
    }
    SUBCASE("of small elements") {
        undone(l, [&](auto& tx, int) {
            for (int k = 0; k < 50; ++k) tx.push_back(std::string(2000, 'y'));
        });
        CHECK(l.size() == 1);
    }
    SUBCASE("by a child that is killed in it, and trim") {
        CHECK(in_child([&] {
                  l.transaction([&](auto& tx) {
                      for (int i = 0; i < 100; ++i) tx.push_back(large);
                      ::_exit(0);
                  });
              }) == 0);
        CHECK(l.size() == 1);
        l.push_back("two");
        CHECK(m.stats().real_bytes > real + 8 * mebibyte);
        CHECK(m.trim() > 8 * mebibyte);
        CHECK(m.stats().real_bytes < real + mebibyte);
    }
    SUBCASE("but not below what another object has taken meanwhile") {
        CHECK_THROWS_AS(l.transaction([&](auto& tx) {
            for (int i = 0; i < 100; ++i) tx.push_back(large);
            CHECK(in_child([&] {
                      for (int i = 0; i < 10; ++i) d.set(i, large);
                  }) == 0);
            throw std::domain_error("undone");
        }),
                        std::domain_error);
        // Readers were shown those pages together with the dict's.
        CHECK(m.stats().real_bytes > real + 8 * mebibyte);
        for (int i = 0; i < 10; ++i) CHECK(d.get(i) == large);
        CHECK(m.trim() == 0);
        CHECK(audit_segment(s) == "");
    }
    CHECK(broken_invariant(l).empty());
    use_again(m);
}

TEST_CASE("readers beside transactions that are undone see whole values, and no page that goes back") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte});
    const auto l = m.list<std::string>("l");
    for (int i = 0; i < 10; ++i) l.push_back(std::string(3000, 'a'));
    child reader([&] {
        for (int i = 0; i < static_cast<int>(scaled(100'000)); ++i) {
            const std::string text = l.at(static_cast<std::size_t>(i) % 10);
            CHILD_CHECK(text == std::string(3000, 'a'));
            if (i % 64 == 0) ::usleep(1);
        }
    });
    int status = 0;
    int rounds = 0;
    for (; ::waitpid(reader.pid(), &status, WNOHANG) == 0; ++rounds) {
        CHECK_THROWS_AS(l.transaction([&](auto& tx) {
            for (std::size_t at = 0; at < 10; ++at) tx.set(at, std::string(50'000, 'b'));
            for (int i = 0; i < 20; ++i) tx.push_back(std::string(20'000, 'c'));
            throw std::domain_error("undone");
        }),
                        std::domain_error);
    }
    CHECK(status == 0);
    CHECK(rounds > 0);
    CHECK(l.size() == 10);
    CHECK(broken_invariant(l).empty());
}

TEST_CASE("what cannot be had in all takes nothing from a file system of a fixed size") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte});
    const auto l = m.list<long>("l", {1});
    const auto texts = m.list<std::string>("texts", {"one"});
    const auto sorted = m.list<long>("sorted", eight_mebibytes);
    const std::uint64_t real = m.stats().real_bytes;
    const std::vector<std::string> many(100, std::string(100'000, 'x'));
    const auto is_as_before = [&] {
        CHECK(m.stats().real_bytes == real);
        CHECK(l.size() == 1);
        CHECK(texts.size() == 1);
        CHECK(sorted.snapshot() == eight_mebibytes);
    };
    SUBCASE("since the file system has not as much") {
        // It refuses the third piece, once.
        static std::atomic<int> calls_left;
        const auto refused = [&](const auto& operation) {
            calls_left = 3;
            cairn::detail::os::fault.store([](const char* call) noexcept {
                return std::string_view(call) == "fallocate" && --calls_left == 0 ? ENOSPC : 0;
            });
            CHECK_THROWS_AS(operation(), cairn::segment_full);
            cairn::detail::os::fault.store(nullptr);
            is_as_before();
        };
        refused([&] { l.reserve(4'000'000); });
        refused([&] { l.extend(eight_mebibytes); });
        refused([&] { texts.extend(many); });
        refused([&] { sorted.sort(); });
    }
    SUBCASE("since the segment may not be so large") {
        CHECK_THROWS_AS(l.reserve(8'000'000), cairn::segment_full);
        is_as_before();
        CHECK_THROWS_AS(l.extend(std::vector<long>(7'500'000)), cairn::segment_full);
        is_as_before();
        CHECK_THROWS_AS(texts.extend(std::vector<std::string>(600, many[0])), cairn::segment_full);
        is_as_before();
    }
    // What is there is taken.
    l.extend(eight_mebibytes);
    texts.extend(many);
    sorted.sort();
    CHECK(l.size() == eight_mebibytes.size() + 1);
}

TEST_CASE("of two that ask for all of their memory at the same time each gets it or takes nothing") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 32 * mebibyte});
    const std::vector<cairn::list<long>> lists = {m.list<long>("a"), m.list<long>("b")};
    const std::vector<long> most_of_it(3 * mebibyte, 7);  // 24 MiB: one of the two fits
    for (int round = 0; round < 8; ++round) {
        const std::uint64_t used = m.stats().used_bytes;
        std::atomic<int> waiting = 2;
        std::atomic<int> refused = 0;
        {
            std::vector<std::jthread> askers;
            for (const auto& l : lists) {
                askers.emplace_back([&] {
                    for (--waiting; waiting != 0;) std::this_thread::yield();
                    try {
                        l.extend(most_of_it);
                    } catch (const cairn::segment_full&) {
                        ++refused;
                    }
                });
            }
        }
        CHECK(refused >= 1);
        int filled = 0;
        for (const auto& l : lists) {
            CHECK((l.empty() || l.size() == most_of_it.size()));
            if (!l.empty()) ++filled;
            CHECK(broken_invariant(l).empty());
        }
        CHECK(filled + refused == 2);
        // What the refused one had is free again.
        const std::uint64_t more = m.stats().used_bytes - used;
        CHECK(more >= static_cast<std::uint64_t>(filled) * 24 * mebibyte);
        CHECK(more < static_cast<std::uint64_t>(filled) * 24 * mebibyte + 2 * mebibyte);
        for (const auto& l : lists) l.clear();
    }
}

TEST_CASE("memory that a killed process was about to take is there for the next one that asks for all") {
    const cairn::manager m({.max_size = 16 * mebibyte, .initial_size = 16 * mebibyte});
    const auto l = m.list<long>("l", {1});
    opened_list<long> opened(l);
    segment& s = opened.in();
    const std::uint64_t free = s.control().free_pages;
    const pid_t child = ::fork();
    if (child == 0) {
        segment_guard guard(s);
        static_cast<void>(take_run(guard, nullptr, 3000, extent_purpose::large));
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(s.control().free_pages < free);
    SUBCASE("a reserve") {
        l.reserve(1'500'000);
    }
    SUBCASE("an extend") {
        l.extend(eight_mebibytes);
        CHECK(l.size() == eight_mebibytes.size() + 1);
    }
    CHECK(broken_invariant(l).empty());
}

TEST_CASE("pages that a killed growth has backed go back where a later one is refused: readers were not "
          "shown them") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte, .initial_size = 2 * mebibyte});
    const auto l = m.list<long>("l", {1});
    opened_list<long> opened(l);
    segment& s = opened.in();
    const std::uint32_t pages = s.committed_pages();
    const pid_t child = ::fork();
    if (child == 0) {
        // Dies where grow() writes the new entries of the page map: after the store of the limit, before the commit.
        ::signal(SIGSEGV, SIG_DFL);
        const std::uint64_t entry = round_up(s.offset_of(&s.page(pages)), page_bytes);
        if (::mprotect(s.at<std::byte>(entry), page_bytes, PROT_READ) != 0) ::_exit(1);
        segment_guard guard(s);
        grow(guard, pages + 2000);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(s.committed_pages() == pages + 2000);
    CHECK(s.shown_bytes() == s.page_offset(pages));  // readers follow offsets up to there
    { const segment_guard guard(s); }
    REQUIRE(s.committed_pages() == pages);
    const std::uint64_t real = m.stats().real_bytes;
    REQUIRE(real > 8 * mebibyte);
    static std::atomic<int> calls;
    calls = 0;
    SUBCASE("all at once") {
        cairn::detail::os::fault.store([](const char* call) noexcept {
            return std::string_view(call) == "fallocate" && ++calls == 6 ? ENOSPC : 0;
        });
        CHECK_THROWS_AS(l.reserve(5'000'000), cairn::segment_full);
    }
    SUBCASE("little by little") {
        cairn::detail::os::fault.store([](const char* call) noexcept {
            return std::string_view(call) == "pwritev" && ++calls > 1 ? ENOSPC : 0;
        });
        CHECK_THROWS_AS(l.reserve(300'000), cairn::segment_full);
    }
    cairn::detail::os::fault.store(nullptr);
    CHECK(calls > 1);
    CHECK(m.stats().real_bytes < real - 4 * mebibyte);
    CHECK(s.committed_pages() == pages);
    use_again(m);
}

TEST_CASE("pages that were asked for and not taken go back, also to a file system of a fixed size") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte});
    const auto l = m.list<long>("l", {1});
    opened_list<long> opened(l);
    segment& s = opened.in();
    const std::uint64_t real = m.stats().real_bytes;
    back_ahead(s, s.committed_pages(), s.committed_pages() + 2000);
    REQUIRE(m.stats().real_bytes >= real + 2000 * page_bytes);
    SUBCASE("by trim") {
        CHECK(m.trim() == 2000 * page_bytes);
        CHECK(m.stats().real_bytes == real);
    }
    SUBCASE("by an operation that is undone") {
        const std::vector<long> some(20'000, 1);
        CHECK_THROWS_AS(l.transaction([&](auto& tx) {
            tx.extend(some);
            throw std::domain_error("undone");
        }),
                        std::domain_error);
        CHECK(m.stats().real_bytes < real + mebibyte);
    }
    CHECK(l.size() == 1);
    use_again(m);
}

TEST_CASE(
    "memory that is refused is segment_full, also where the lock is not free to give back a part of it") {
    const scratch_name name;
    const cairn::manager m(name, {.max_size = 64 * mebibyte, .lock_timeout = std::chrono::milliseconds(50)});
    const auto l = m.list<long>("l", {1});
    opened_list<long> opened(l);
    static std::atomic<int> calls_left;
    static std::atomic<bool> is_refused;
    static std::atomic<bool> is_locked;
    calls_left = 3;
    is_refused = is_locked = false;
    std::jthread holder([&] {
        is_refused.wait(false);
        const segment_guard guard(opened.in());
        is_locked = true;
        is_locked.notify_all();
        std::this_thread::sleep_for(std::chrono::seconds(1));
    });
    cairn::detail::os::fault.store([](const char* call) noexcept {
        if (std::string_view(call) != "fallocate" || --calls_left != 0) return 0;
        is_refused = true;
        is_refused.notify_all();
        is_locked.wait(false);
        return ENOSPC;
    });
    CHECK_THROWS_AS(l.reserve(4'000'000), cairn::segment_full);
    cairn::detail::os::fault.store(nullptr);
    holder.join();
    CHECK(m.trim() > 0);
    CHECK(l.size() == 1);
}

TEST_CASE("a long run at a place of its own is backed before the segment's lock is taken") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    m.list<long>("large").extend(eight_mebibytes);
    CHECK(m.remove("large"));
    CHECK(m.trim() > 0);
    opened_list<long> opened(l);
    segment& s = opened.in();
    constexpr std::uint32_t count = 1000;
    std::uint32_t first = 0;
    for (page_stretch at = stretch_at(s, 0); !at.are_free || at.count < count; at = stretch_at(s, first)) {
        first += at.count;
        REQUIRE(first < s.committed_pages());
    }
    SUBCASE("if there is memory") {
        static std::atomic<int> calls;
        calls = 0;
        cairn::detail::os::fault.store([](const char* call) noexcept {
            if (std::string_view(call) == "fallocate" && this_thread.in_segment_lock) ++calls;
            return 0;
        });
        root_transaction tx(s, opened.slot(), opened.generation());
        CHECK(tx.take_pages_at(first, count));
        cairn::detail::os::fault.store(nullptr);
        CHECK(calls == 0);
        CHECK(m.stats().real_bytes > count * page_bytes);
    }
    SUBCASE("if there is none") {
        cairn::detail::os::fault.store(
            [](const char* call) noexcept { return std::string_view(call) == "madvise" ? ENOMEM : 0; });
        root_transaction tx(s, opened.slot(), opened.generation());
        CHECK_THROWS_AS(tx.take_pages_at(first, count), cairn::segment_full);
        cairn::detail::os::fault.store(nullptr);
    }
    SUBCASE("not if it is punched again meanwhile") {
        segment_guard guard(s);
        CHECK_FALSE(take_run_at(guard, opened.slot(), first, count, extent_purpose::large));
    }
    CHECK(broken_invariant(l).empty());
    use_again(m);
}

TEST_CASE("trim gives back what a killed process had grown the segment by") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1});
    CHECK(in_child([&] {
              l.transaction([&](auto& tx) {
                  tx.extend(eight_mebibytes);
                  ::_exit(0);
              });
          }) == 0);
    CHECK(l.size() == 1);
    l.push_back(2);
    CHECK(m.trim() >= 8 * mebibyte);
    CHECK(l.snapshot() == std::vector<long>{1, 2});
}

TEST_CASE("handles of what was removed say so after a trim") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {std::string(5000, 'x')});
    const auto d = m.dict<std::string, long>("d");
    d.set("a", 1);
    const auto q = m.queue<long>("q");
    q.put(1);
    const auto leased =
        m.queue<std::string>("leased", cairn::queue_options{.maxsize = 3, .max_deliveries = 2});
    const auto c = m.channel<long>("c", 100);
    c.put(1);
    for (const char* const name : {"l", "d", "q", "leased", "c"}) CHECK(m.remove(name));
    CHECK(m.trim() > 0);
    CHECK_THROWS_AS(static_cast<void>(l.at(0)), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(d.at("a")), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(q.get()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(q.size()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(leased.lease_for(std::chrono::milliseconds(1))), cairn::object_gone);
    CHECK_THROWS_AS(leased.put(""), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(c.get()), cairn::object_gone);
    CHECK_THROWS_AS(c.put(1), cairn::object_gone);
}

TEST_CASE("readers without the lock live through trims, and see whole values") {
    const cairn::manager m({.max_size = 64 * mebibyte});
    const auto l = m.list<std::string>("l");
    for (int i = 0; i < 10; ++i) l.push_back(std::string(3000, 'a'));
    gate stop;
    child reader([&] {
        std::uint64_t sum = 0;
        for (int i = 0; i < static_cast<int>(scaled(200'000)); ++i) {
            const std::string text = l.at(static_cast<std::size_t>(i) % 10);
            CHILD_CHECK(text.size() >= 3000);
            CHILD_CHECK(text.find_first_not_of(text[0]) == std::string::npos);
            sum += text.size();
            if (i % 64 == 0) ::usleep(1);
        }
        CHILD_CHECK(sum > 0);
    });
    int status = 0;
    std::uint64_t back = 0;
    for (int i = 0; ::waitpid(reader.pid(), &status, WNOHANG) == 0; ++i) {
        for (std::size_t at = 0; at < 10; ++at)
            l.set(at, std::string(i % 2 == 0 ? 23'000 : 3000, static_cast<char>('a' + i % 26)));
        back += m.trim();
    }
    CHECK(status == 0);
    CHECK(back > 0);
}

TEST_CASE("trim says why it cannot be") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1});
    CHECK(in_child([&] {
              const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
              const std::string text = thrown_by<cairn::permission_denied>([&] { r.trim(); });
              CHILD_CHECK(contains(text, name));
          }) == 0);
    l.update(0, [&](long& value) {
        ++value;
        CHECK_THROWS_AS(m.trim(), cairn::would_deadlock);
    });
    CHECK(l.at(0) == 2);
}

}  // namespace trim_test
