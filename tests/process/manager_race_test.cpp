// manager_race_test.cpp - processes that create, open and leave the same name at the same time.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "segment/lifecycle.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace manager_race_test {

using namespace cairn_test;

namespace {

// Words that all processes of a test see, outside of Cairn.
class shared_words {
public:
    shared_words()
        : words_(static_cast<std::atomic<long>*>(
              ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
        REQUIRE(words_ != MAP_FAILED);
    }
    shared_words(const shared_words&) = delete;
    shared_words& operator=(const shared_words&) = delete;
    ~shared_words() { ::munmap(words_, 4096); }
    std::atomic<long>& operator[](std::size_t i) const { return words_[i]; }
    // All of `count` processes come here before one goes on; `round` counts from 1.
    void meet(std::size_t at, long count, long round) const {
        words_[at].fetch_add(1);
        while (words_[at].load() < count * round) std::this_thread::yield();
    }

private:
    std::atomic<long>* words_;
};

}  // namespace

TEST_CASE("of two processes that create the same name exactly one wins, the other gets segment_exists") {
    const long rounds = static_cast<long>(scaled(100));
    const scratch_name name;
    const shared_words words;
    enum { before, after, done, won, lost };
    std::vector<child> both;
    for (int i = 0; i < 2; ++i) {
        both.emplace_back([&] {
            for (long round = 1; round <= rounds; ++round) {
                words.meet(before, 2, round);
                std::optional<cairn::manager> m;
                try {
                    m = cairn::manager::create(name);
                    ++words[won];
                } catch (const cairn::segment_exists&) {
                    ++words[lost];
                }
                words.meet(after, 2, round);
                if (m) CHILD_CHECK(name.exists());
                m.reset();
                words.meet(done, 2, round);
                CHILD_CHECK(!name.exists());
            }
        });
    }
    for (child& c : both) CHECK(c.join() == 0);
    CHECK(words[won] == rounds);
    CHECK(words[lost] == rounds);
}

TEST_CASE("open_or_create storms never split: in each round all see one list") {
    constexpr long count = 4;
    const long rounds = static_cast<long>(scaled(250));
    const scratch_name name;
    const shared_words words;
    enum { before, attached, added, left };
    std::vector<child> all;
    for (long i = 0; i < count; ++i) {
        all.emplace_back([&, i] {
            for (long round = 1; round <= rounds; ++round) {
                words.meet(before, count, round);
                if (round % 3 == i % 3) std::this_thread::yield();
                {
                    const cairn::manager m = cairn::manager::open_or_create(name);
                    const auto l = m.list<long>("l");
                    l.push_back(i);
                    words.meet(attached, count, round);
                    std::vector<long> seen = l.snapshot();
                    std::sort(seen.begin(), seen.end());
                    CHILD_CHECK(seen == std::vector<long>({0, 1, 2, 3}));
                    words.meet(added, count, round);
                }
                words.meet(left, count, round);
                CHILD_CHECK(!name.exists());
            }
        });
    }
    for (child& c : all) CHECK(c.join() == 0);
}

TEST_CASE(
    "open_or_create and close without any rendezvous: what one has attached to is never taken away from it") {
    const scratch_name name;
    const shared_words words;
    enum { stop, attached };
    std::vector<child> all;
    for (long i = 0; i < 4; ++i) {
        all.emplace_back([&, i] {
            while (words[stop] == 0) {
                const cairn::manager m = cairn::manager::open_or_create(name);
                const auto l = m.list<long>("l");
                const std::size_t size = l.size();
                l.push_back(i);
                CHILD_CHECK(l.size() > size);
                // Attached, so the name is there and leads here.
                const auto again = cairn::manager::open(name).find<cairn::list<long>>("l");
                CHILD_CHECK(again.has_value());
                CHILD_CHECK(again->size() > size);
                ++words[attached];
            }
        });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(is_sanitized ? 300 : 1000));
    words[stop] = 1;
    for (child& c : all) CHECK(c.join() == 0);
    CHECK(words[attached] > 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("creators that are killed at any time leave nothing or a whole segment") {
    const scratch_name name;
    for (unsigned round = 0; round < scaled(120); ++round) {
        child c([&] {
            for (;;) {
                const cairn::manager m = cairn::manager::open_or_create(name);
                m.list<long>("l").push_back(1);
            }
        });
        ::usleep(200 + round % 40 * 97);
        c.kill();
        CHECK(c.join() == -SIGKILL);
        const cairn::manager m = cairn::manager::open_or_create(name);
        const auto l = m.list<long>("l");
        l.push_back(1);
        CHECK(l.size() <= 2);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("who has opened the file of a segment before its name was taken away does not join it") {
    const scratch_name name;
    const gate is_there;
    const gate is_open;
    const gate is_gone;
    child late([&] {
        is_there.wait();
        cairn::detail::os::unique_fd fd(::open(name.path().c_str(), O_RDWR | O_CLOEXEC));
        CHILD_CHECK(fd.valid());
        is_open.open();
        is_gone.wait();
        CHILD_CHECK(!cairn::detail::attach(std::move(fd), name.path(), {}));
    });
    const cairn::manager m = cairn::manager::create(name);
    is_there.open();
    is_open.wait();
    m.unlink();
    is_gone.open();
    CHECK(late.join() == 0);
}

TEST_CASE("threads of one process that open, create and close one name share one mapping or have none") {
    const scratch_name name;
    std::atomic<int> failures{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (std::size_t i = 0; i < scaled(300); ++i) {
                    try {
                        const cairn::manager m = cairn::manager::open_or_create(name);
                        const auto l = m.list<long>("l");
                        const std::size_t size = l.size();
                        l.push_back(1);
                        if (l.size() <= size) ++failures;
                    } catch (const std::exception& e) {
                        if (failures++ == 0) std::fprintf(stderr, "thrown: %s\n", e.what());
                    }
                }
            });
        }
    }
    CHECK(failures == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a process that may only read sees objects whole while others remove them and make new ones") {
    const scratch_name name;
    const cairn::manager m = cairn::manager::create(name);
    const gate ready;
    child writer([&] {
        const std::string long_name(80, 'x');
        for (std::size_t i = 0;; ++i) {
            m.list<long>("numbers", {1, 2, 3});
            if (i == 0) ready.open();
            m.list<std::vector<int>>(long_name);
            m.remove("numbers");
            m.list<std::string>("texts", {"a"});
            m.remove(long_name);
            m.remove("texts");
        }
    });
    ready.wait();
    const cairn::manager look = cairn::manager::open(name, cairn::open_mode::read_only);
    std::size_t found = 0;
    for (std::size_t i = 0; i < scaled(300'000); ++i) {
        // A type of another object would be type_mismatch, a half one corrupt_segment.
        if (look.find<cairn::list<long>>("numbers")) ++found;
        static_cast<void>(look.find<cairn::list<std::string>>("texts"));
        for (const cairn::object_info& each : look.objects()) {
            const std::string expected = each.name == "numbers" ? "list<int64>"
                                         : each.name == "texts" ? "list<str>"
                                                                : "list<vector<int32>>";
            CHECK(each.kind + "<" + each.type + ">" == expected);
        }
    }
    writer.kill();
    CHECK(found > 0);
}

}  // namespace manager_race_test
