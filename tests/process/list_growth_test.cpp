// list_growth_test.cpp - many processes append; segments grow while everybody is attached, and fill up.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/file.hpp"
#include "support/guardian.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace list_growth_test {

using namespace cairn::literals;
using namespace cairn_test;

namespace {

// Each process appends its number and a counter: order and completeness show.
constexpr std::uint64_t mark(std::uint64_t process, std::uint64_t count) {
    return process << 32 | count;
}

void check_marks(const std::vector<std::uint64_t>& all, std::size_t processes, std::uint64_t each) {
    REQUIRE(all.size() == processes * each);
    std::vector<std::uint64_t> next(processes, 0);
    for (const std::uint64_t value : all) {
        const std::uint64_t process = value >> 32;
        REQUIRE(process < processes);
        REQUIRE((value & 0xffffffff) == next[process]);
        ++next[process];
    }
}

const void* base_of(const cairn::list<std::uint64_t>& l) {
    return opened_list<std::uint64_t>(l).in().base();
}

void close_all_descriptors() {
    ::closefrom(3);
}

}  // namespace

TEST_CASE(
    "eight processes append a million integers each, and every one is there once, in each process's order") {
    const std::uint64_t each = scaled(1'000'000);
    const cairn::manager m;
    const auto l = m.list<std::uint64_t>("all");
    std::vector<cairn::process> workers;
    for (std::uint64_t p = 0; p < 8; ++p) {
        workers.emplace_back([&, p] {
            for (std::uint64_t i = 0; i < each; ++i) l.push_back(mark(p, i));
        });
    }
    for (cairn::process& worker : workers) {
        worker.join();
        CHECK(worker.exitcode() == 0);
    }
    check_marks(l.snapshot(), 8, each);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("batches of several processes are never interleaved within") {
    const cairn::manager m;
    const auto l = m.list<std::uint64_t>("batches");
    std::vector<cairn::process> workers;
    for (std::uint64_t p = 0; p < 4; ++p) {
        workers.emplace_back([&, p] {
            for (std::uint64_t i = 0; i < 200; ++i)
                l.extend(std::vector<std::uint64_t>(1 + i % 97, mark(p, i)));
        });
    }
    for (cairn::process& worker : workers) worker.join();
    const auto all = l.snapshot();
    std::size_t at = 0;
    std::size_t batches = 0;
    while (at < all.size()) {
        const std::size_t length = 1 + (all[at] & 0xffffffff) % 97;
        REQUIRE(at + length <= all.size());
        for (std::size_t i = 1; i < length; ++i) REQUIRE(all[at + i] == all[at]);
        at += length;
        ++batches;
    }
    CHECK(batches == 800);
}

TEST_CASE("a child grows the segment past a gibibyte while others read and write, and nobody remaps") {
    const std::uint64_t large = is_sanitized ? 64_MiB : 1_GiB + 32_MiB;
    const cairn::manager m(cairn::segment_options{.max_size = 4_GiB, .initial_size = 1_MiB});
    const auto grown = m.list<std::uint64_t>("grown");
    const auto beside = m.list<std::uint64_t>("beside");
    beside.push_back(0);
    const void* base_before = base_of(grown);

    cairn::process grower{[&] {
        const std::vector<std::uint64_t> batch(65536, 7);
        while (m.stats().size_bytes < large) grown.extend(batch);
    }};
    cairn::process writer{[&] {
        for (std::uint64_t i = 1; m.stats().size_bytes < large; ++i) beside.push_back(i);
    }};
    std::uint64_t reads = 0;
    while (grower.alive()) {
        const std::uint64_t size = grown.size();
        if (size != 0) REQUIRE(grown.at(size - 1) == 7);
        const std::uint64_t last = beside.size() - 1;
        REQUIRE(beside.at(last) == last);
        ++reads;
    }
    grower.join();
    writer.join();
    CHECK(grower.exitcode() == 0);
    CHECK(writer.exitcode() == 0);
    CHECK(reads > 0);
    CHECK(m.stats().size_bytes >= large);
    CHECK(base_of(grown) == base_before);
    CHECK(grown.at(grown.size() / 2) == 7);
    // Here, too, without ever having asked for the new pages.
    grown.set(grown.size() - 1, 8);
    CHECK(grown.back() == 8);
    CHECK(broken_invariant(beside) == "");
}

TEST_CASE("a segment at its maximum says so, and the list is unchanged and usable") {
    const cairn::manager m(cairn::segment_options{.max_size = 2_MiB, .initial_size = 1_MiB});
    const auto l = m.list<std::uint64_t>("full");
    std::string what;
    try {
        for (std::uint64_t i = 0;; ++i) l.push_back(i);
    } catch (const cairn::segment_full& e) {
        what = e.what();
    }
    CHECK(contains(what, m.name()));
    CHECK(contains(what, "maximum"));
    const std::uint64_t size = l.size();
    CHECK(size > 100'000);
    CHECK(l.at(size - 1) == size - 1);
    CHECK(broken_invariant(l) == "");
    CHECK_THROWS_AS(l.extend(std::vector<std::uint64_t>(1'000'000, 1)), cairn::segment_full);
    CHECK(l.size() == size);
    // Taking away needs no memory, and makes room.
    l.erase(0, size / 2);
    CHECK(l.at(0) == size / 2);
    for (std::uint64_t i = 0; i < 1000; ++i) l.push_back(i);
    l.clear();
    CHECK(l.empty());
    for (std::uint64_t i = 0; i < size / 2; ++i) l.push_back(i);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("a file system that is full before the maximum is segment_full, not a SIGBUS") {
    char directory[] = "/tmp/cairn-test-XXXXXX";
    REQUIRE(::mkdtemp(directory) != nullptr);
    guard_path(directory);
    if (::mount("tmpfs", directory, "tmpfs", 0, "size=16m") != 0) {
        ::rmdir(directory);
        MESSAGE("skipped: this process may not mount a file system");
        return;
    }
    // In a child, so that the directory of named segments is this test's alone.
    const int code = in_child([&] {
        CHILD_CHECK(cairn::detail::os::set_shm_directory(directory));
        const cairn::manager m("full");
        const auto l = m.list<std::uint64_t>("l");
        const auto s = m.list<std::string>("s", {"a string of more than fifteen bytes"});
        std::string what;
        try {
            for (std::uint64_t i = 0;; ++i) l.push_back(i);
        } catch (const cairn::segment_full& e) {
            what = e.what();
        }
        CHILD_CHECK(contains(what, "'full'"));
        CHILD_CHECK(contains(what, "--shm-size"));
        CHILD_CHECK(cairn::detail::os::free_bytes(directory) > 0);  // what did not suffice is for others
        const std::uint64_t size = l.size();
        CHILD_CHECK(size > 1'000'000);
        CHILD_CHECK(l.at(size - 1) == size - 1);
        CHILD_CHECK(broken_invariant(l).empty());
        // Every page that may be touched is backed: another process reads and changes all of it.
        CHILD_CHECK(in_child([&] {
                        for (std::uint64_t i = 0; i < size; i += 512) l.set(i, i);
                        CHILD_CHECK(l.snapshot().size() == size);
                    }) == 0);
        l.erase(0, 1'000'000);
        l.push_back(1);
        CHILD_CHECK(s.at(0) == "a string of more than fifteen bytes");
        l.clear();
        CHILD_CHECK(broken_invariant(l).empty());
    });
    CHECK(::umount(directory) == 0);
    CHECK(::rmdir(directory) == 0);
    CHECK(code == 0);
}

TEST_CASE("where a segment cannot be made the error names the file system, and what it is short of") {
    char directory[] = "/tmp/cairn-test-XXXXXX";
    REQUIRE(::mkdtemp(directory) != nullptr);
    guard_path(directory);
    if (::mount("tmpfs", directory, "tmpfs", 0, "size=64k") != 0) {
        ::rmdir(directory);
        MESSAGE("skipped: this process may not mount a file system");
        return;
    }
    const int code = in_child([&] {
        CHILD_CHECK(cairn::detail::os::set_shm_directory(directory));
        const std::string full = thrown_by<cairn::segment_full>([] { cairn::manager::create("s"); });
        CHILD_CHECK(contains(full, "create segment 's'"));
        CHILD_CHECK(contains(full, directory));
        CHILD_CHECK(contains(full, "--shm-size"));
        CHILD_CHECK(cairn::detail::os::free_bytes(directory) == 65536);  // nothing is left of it
        CHILD_CHECK(::mount(nullptr, directory, nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
        const std::string read_only = thrown_by<cairn::system_failure>([] { cairn::manager::create("s"); });
        CHILD_CHECK(contains(read_only, std::string("create segment 's' in ") + directory));
        const cairn::manager anonymous;
        anonymous.list<long>("l").push_back(1);
    });
    CHECK(::umount(directory) == 0);
    CHECK(::rmdir(directory) == 0);
    CHECK(code == 0);
}

TEST_CASE("a named segment grows in a process that has closed all its descriptors") {
    const scratch_name name;
    CHECK(in_child([&] {
              const cairn::manager m(name);
              const auto l = m.list<std::uint64_t>("l");
              close_all_descriptors();
              for (std::uint64_t i = 0; i < 1'000'000; ++i) l.push_back(i);
              CHILD_CHECK(l.at(999'999) == 999'999);
          }) == 0);
}

TEST_CASE("an anonymous segment grows in a process that has closed all its descriptors and opened others") {
    CHECK(in_child([] {
              const cairn::manager m;
              const auto l = m.list<std::uint64_t>("l");
              close_all_descriptors();
              for (int i = 0; i < 8; ++i) CHILD_CHECK(::open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
              for (std::uint64_t i = 0; i < 1'000'000; ++i) l.push_back(i);
              CHILD_CHECK(l.at(999'999) == 999'999);
          }) == 0);
}

TEST_CASE("twenty thousand managers one after another leave nothing behind") {
    const scratch_name name;
    const std::size_t rounds = is_sanitized ? 200 : 20'000;
    auto round = [&](std::size_t i) {
        const cairn::segment_options small{.max_size = 16_MiB, .initial_size = 256_KiB};
        const cairn::manager m = i % 2 == 0 ? cairn::manager(name.get(), small) : cairn::manager(small);
        const auto l = m.list<std::uint64_t>("l");
        l.push_back(i);
        if (i % 100 == 0) {
            cairn::process p{[&] { l.push_back(i + 1); }};
            p.join();
            CHECK(l.size() == 2);
        }
    };
    for (std::size_t i = 0; i < rounds / 10; ++i) round(i);
    const footprint before = take_footprint();
    const std::size_t size_before = memory_status("VmSize");
    const std::size_t resident_before = memory_status("VmRSS");
    for (std::size_t i = 0; i < rounds; ++i) round(i);
    CHECK(take_footprint() == before);
    CHECK(memory_status("VmSize") <= size_before + 1_MiB);
    if (!is_sanitized) CHECK(memory_status("VmRSS") <= resident_before + 1_MiB);
    CHECK_FALSE(name.exists());
}

}  // namespace list_growth_test
