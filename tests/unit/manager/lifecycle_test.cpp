// lifecycle_test.cpp - named segments of one or two processes: created, opened, removed, kept.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace lifecycle_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

using longs = std::vector<long>;

// A child that keeps `name` open until it is let go.
struct holder {
    gate ready;
    gate leave;
    child process;
    explicit holder(const std::function<void(const std::function<void()>&)>& body)
        : process([&] {
              body([&] {
                  ready.open();
                  leave.wait();
              });
          }) {
        REQUIRE(ready.wait());
    }
    int let_go() {
        leave.open();
        return process.join();
    }
};

}  // namespace

TEST_CASE("create makes a file of mode 0600 that is gone with the creator's last manager object") {
    const scratch_name name;
    {
        cairn::manager m = cairn::manager::create(name);
        CHECK(m.name() == name.get());
        CHECK_FALSE(m.is_anonymous());
        struct stat status = {};
        REQUIRE(::stat(name.path().c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0600);
        const cairn::manager copy = m;
        m = cairn::manager();
        CHECK(name.exists());
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("the mode of a segment is the one that was asked for, whatever the umask") {
    const scratch_name name;
    const mode_t before = ::umask(077);
    const cairn::manager m(name, {.mode = 0640});
    ::umask(before);
    struct stat status = {};
    REQUIRE(::stat(name.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("handles keep the memory of a segment but not its name") {
    const scratch_name name;
    std::optional<cairn::list<long>> l;
    {
        const cairn::manager m(name);
        l = m.list<long>("l", {1, 2});
    }
    CHECK_FALSE(name.exists());
    l->push_back(3);
    CHECK(*l == longs{1, 2, 3});
    // The name is free for another one meanwhile.
    const cairn::manager other(name);
    CHECK(other.list<long>("l").empty());
    CHECK(l->size() == 3);
}

TEST_CASE("create of a name that this or another process has is segment_exists, which says what to do") {
    const scratch_name name;
    const cairn::manager m(name);
    const std::string text = thrown_by<cairn::segment_exists>([&] { cairn::manager again(name); });
    CHECK(contains(text, "create segment '" + name.get() + "'"));
    CHECK(contains(text, "open_or_create"));
    CHECK(in_child([&] {
              CHILD_CHECK(!thrown_by<cairn::segment_exists>([&] { cairn::manager again(name); }).empty());
          }) == 0);
    CHECK(name.exists());
    m.list<long>("l").push_back(1);
    CHECK(cairn::manager::open(name).list<long>("l").size() == 1);
}

TEST_CASE("open of what is not there is no_such_segment, which says what to do") {
    const scratch_name name;
    const std::string text = thrown_by<cairn::no_such_segment>([&] { cairn::manager::open(name); });
    CHECK(text.starts_with("open segment '" + name.get() + "': no such segment"));
    CHECK(contains(text, "create it first or use open_or_create"));
    CHECK_THROWS_AS(cairn::manager::open(name, cairn::open_mode::read_only), cairn::no_such_segment);
}

TEST_CASE("open sees the creator's objects, in this and in another process") {
    const scratch_name name;
    const cairn::manager m = cairn::manager::create(name);
    const auto l = m.list<long>("l", {1});
    cairn::manager::open(name).list<long>("l").push_back(2);
    CHECK(in_child([&] { cairn::manager::open(name).list<long>("l").push_back(3); }) == 0);
    CHECK(l == longs{1, 2, 3});
    CHECK(name.exists());
}

TEST_CASE("a segment opened twice by one process is mapped once") {
    const scratch_name name;
    const cairn::manager m(name);
    const footprint one = take_footprint();
    const cairn::manager again = cairn::manager::open(name);
    const cairn::manager third = cairn::manager::open_or_create(name);
    CHECK(take_footprint() == one);
    CHECK(m.stats().process_count == 1);
}

TEST_CASE("a forked copy of the creator's manager does not remove the name") {
    const scratch_name name;
    cairn::manager m(name);
    CHECK(in_child([&] { m = cairn::manager(); }) == 0);
    CHECK(name.exists());
    m.list<long>("l").push_back(1);
    holder other([&](const auto& wait) {
        wait();
        CHILD_CHECK(m.list<long>("l").size() == 1);  // unlinked by its parent, but still there for it
        m = cairn::manager();
    });
    m = cairn::manager();
    CHECK_FALSE(name.exists());
    CHECK(other.let_go() == 0);
}

TEST_CASE("a persistent segment stays until it is unlinked") {
    const scratch_name name;
    {
        const cairn::manager m(name, {.persist = true});
        m.list<long>("l").push_back(7);
    }
    CHECK(name.exists());
    const std::string text = thrown_by<cairn::segment_exists>([&] { cairn::manager again(name); });
    CHECK(contains(text, "persistent"));
    CHECK(contains(text, "shmctl rm"));
    CHECK(in_child([&] { CHILD_CHECK(cairn::manager::open(name).list<long>("l").at(0) == 7); }) == 0);
    {
        const cairn::manager m = cairn::manager::open_or_create(name);
        CHECK(m.list<long>("l") == longs{7});
        m.unlink();
        CHECK_FALSE(name.exists());
        m.list<long>("l").push_back(8);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("unlink is at once, can be repeated, and who is attached goes on undisturbed beside a new one") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1});
    holder other([&](const auto& wait) {
        wait();
        l.push_back(2);
    });
    m.unlink();
    CHECK_FALSE(name.exists());
    m.unlink();
    CHECK_THROWS_AS(cairn::manager::open(name), cairn::no_such_segment);
    {
        const cairn::manager fresh(name);
        CHECK(fresh.list<long>("l").empty());
        CHECK(other.let_go() == 0);
        CHECK(l == longs{1, 2});
        m.unlink();  // the old one's: the new one's name is not its own
        CHECK(name.exists());
        m.list<long>("another");
        CHECK(fresh.stats().object_count == 1);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("open_or_create: removed when the last process goes, not before") {
    const scratch_name name;
    {
        holder first([&](const auto& wait) {
            const cairn::manager m = cairn::manager::open_or_create(name);
            m.list<long>("l").push_back(1);
            wait();
        });
        holder second([&](const auto& wait) {
            const cairn::manager m = cairn::manager::open_or_create(name);
            wait();
            m.list<long>("l").push_back(2);
        });
        CHECK(first.let_go() == 0);
        CHECK(name.exists());  // its creator has gone, but not the last process
        CHECK(cairn::manager::open(name).list<long>("l").size() == 1);
        CHECK(second.let_go() == 0);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("what a killed creator leaves: the last process to leave removes it") {
    const scratch_name name;
    gate created;
    std::optional<child> creator;
    creator.emplace([&] {
        const cairn::manager m(name);
        m.list<long>("l").push_back(1);
        created.open();
        ::pause();
    });
    REQUIRE(created.wait());
    {
        const cairn::manager m = cairn::manager::open(name);
        creator->kill();
        CHECK(creator->join() == -SIGKILL);
        CHECK(name.exists());
        CHECK(m.list<long>("l").size() == 1);
        // Somebody is attached, so nobody takes it away.
        CHECK_THROWS_AS(cairn::manager::create(name), cairn::segment_exists);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("what a killed creator leaves: the next create or open_or_create replaces it when nobody is left") {
    for (const bool or_open : {false, true}) {
        const scratch_name name;
        CHECK(in_child([&] {
                  const cairn::manager m(name);
                  m.list<long>("l").push_back(1);
                  ::_exit(0);
              }) == 0);
        CHECK(name.exists());
        const cairn::manager m =
            or_open ? cairn::manager::open_or_create(name) : cairn::manager::create(name);
        CHECK_FALSE(m.contains("l"));
        CHECK(m.stats().process_count == 1);
    }
}

TEST_CASE("what a killed creator leaves can be opened, and is then removed by who opened it") {
    const scratch_name name;
    CHECK(in_child([&] {
              const cairn::manager m(name);
              m.list<long>("l").push_back(1);
              ::_exit(0);
          }) == 0);
    {
        const cairn::manager m = cairn::manager::open(name);
        CHECK(m.list<long>("l") == longs{1});
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("an anonymous segment is shared with forked children, and gone with its last process") {
    const footprint before = take_footprint();
    {
        const cairn::manager m;
        CHECK(m.is_anonymous());
        const auto l = m.list<long>("l");
        for (long i = 0; i < 5; ++i) CHECK(in_child([&] { m.list<long>("l").push_back(i); }) == 0);
        CHECK(l == longs{0, 1, 2, 3, 4});
        CHECK(take_footprint().shm_entries == before.shm_entries);
        CHECK(cairn::manager().name() != m.name());
    }
    CHECK(take_footprint() == before);
}

TEST_CASE("read-only: reads work, writes are permission_denied, and nobody is registered") {
    const scratch_name name;
    const cairn::manager m(name);
    const auto l = m.list<long>("l", {1, 2});
    const auto body = [&](std::uint32_t processes) {
        const cairn::manager r = cairn::manager::open(name, cairn::open_mode::read_only);
        CHILD_CHECK(r.stats().process_count == processes);
        const auto seen = r.list<long>("l");
        CHILD_CHECK(seen == longs({1, 2}));
        CHILD_CHECK(seen.at(1) == 2);
        CHILD_CHECK(seen.name() == "l");
        CHILD_CHECK(r.contains("l"));
        CHILD_CHECK(!r.contains("m"));
        CHILD_CHECK(r.objects().size() == 1);
        CHILD_CHECK(r.find<cairn::list<long>>("l").has_value());
        CHILD_CHECK(!r.find<cairn::list<long>>("m").has_value());
        long sum = 0;
        seen.for_each([&](long v) { sum += v; });
        for (const long v : seen) sum += v;
        CHILD_CHECK(sum == 6);
        const std::vector<std::function<void()>> writes = {[&] { seen.push_back(1); },
                                                           [&] { seen.set(0, 1); },
                                                           [&] { seen.clear(); },
                                                           [&] { seen.sort(); },
                                                           [&] { seen.reverse(); },
                                                           [&] { static_cast<void>(seen.pop()); },
                                                           [&] { seen.erase(0); },
                                                           [&] { seen.extend({1}); },
                                                           [&] { seen.update(0, [](long&) {}); },
                                                           [&] { seen.reserve(9); },
                                                           [&] { seen[0] = 1; },
                                                           [&] { seen.remove(1); },
                                                           [&] { seen.insert(0, 1); },
                                                           [&] { r.list<long>("m"); },
                                                           [&] { static_cast<void>(r.remove("l")); },
                                                           [&] { r.unlink(); },
                                                           [&] { static_cast<void>(r.list<long>()); }};
        for (const auto& write : writes) {
            const std::string text = thrown_by<cairn::permission_denied>(write);
            CHILD_CHECK(contains(text, name.get()));
            CHILD_CHECK(contains(text, "read_write"));
        }
    };
    // In a process of its own, and beside the writing one.
    CHECK(in_child([&] { body(2); }) == 0);  // a forked child is registered by its inherited one
    body(1);
    CHECK(l == longs{1, 2});
}

TEST_CASE("names of segments: what is refused is invalid_name, which says why") {
    const std::vector<std::pair<std::string, std::string>> refused = {
        {"", "at least one byte"},
        {std::string(201, 'x'), "at most 200"},
        {"a/b", "'/'"},
        {"/etc/passwd", "'/'"},
        {".hidden", "'.'"},
        {"..", "'.'"},
        {"-rf", "'-'"},
        {"pid:4", "pid:"},
        {"a\nb", "control"},
    };
    for (const auto& [name, why] : refused) {
        CAPTURE(name);
        for (const auto& use : std::vector<std::function<void()>>{
                 [&] { cairn::manager m{std::string_view(name)}; }, [&] { cairn::manager::open(name); },
                 [&] { cairn::manager::open_or_create(name); }}) {
            const std::string text = thrown_by<cairn::invalid_name>(use);
            CHECK(contains(text, why));
        }
    }
    for (const std::string& stem :
         {std::string("größer €"), std::string("with space"), std::string("pid"), std::string("a.b-c[0]")}) {
        const scratch_name name(stem);
        const cairn::manager m(name);
        CHECK(cairn::manager::open(name).name() == name.get());
    }
    const scratch_name stem;
    const std::string longest = stem.get() + std::string(200 - stem.get().size(), 'x');
    {
        const cairn::manager m{std::string_view(longest)};
        CHECK(cairn::manager::open(longest).name() == longest);
    }
    CHECK_THROWS_AS(cairn::manager::open(longest), cairn::no_such_segment);
}

}  // namespace lifecycle_test
