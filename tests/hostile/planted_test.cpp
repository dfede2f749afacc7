// planted_test.cpp - damage that is chosen rather than drawn: for each rule of what is believed, the bytes that break it.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "os/identity.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace planted_test {

using namespace cairn_test;
using namespace cairn::literals;
using namespace cairn::detail;

namespace {

constexpr cairn::segment_options small = {.max_size = 2_MiB, .initial_size = 200_KiB};

struct planted_lists {
    cairn::manager m{small};
    opened_list<long> numbers{m.list<long>("numbers", {1, 2, 3, 4, 5})};
    opened_list<std::string> texts{m.list<std::string>("texts", {"a", "b", std::string(100, 'c')})};
};

// As if a writer of `l` had died after it logged those bytes.
template <typename T>
void plant_record(const opened_list<T>& l, segment_offset to, std::uint64_t old) {
    root_slot& slot = l.slot();
    const std::uint64_t record[] = {old, log_record_word(to, 8)};
    std::memcpy(slot.log, record, sizeof record);
    slot.log_head = sizeof record;
}

}  // namespace

TEST_CASE("a lock that is held by the thread that wants it, or by none that there is, has lost its owner") {
    const planted_lists in;
    root_slot& slot = in.numbers.slot();
    for (const std::uint32_t thread : {static_cast<std::uint32_t>(os::thread_id()), 0x00812345U}) {
        // Died in the middle of a change: the version is odd, and the log has the old size.
        slot.version |= 1;
        plant_record(in.numbers, in.numbers.in().offset_of(&in.numbers.node_ref().size), 5);
        in.numbers.node_ref().size = 4;
        slot.lock.word = thread;
        CHECK(is_held_by_nobody(slot.lock, {}));
        in.numbers.push_back(6);
        CHECK(in.numbers == std::vector<long>{1, 2, 3, 4, 5, 6});
        CHECK(in.numbers.pop() == 6);
    }
}

TEST_CASE("what is no lock is not locked, and says so") {
    const planted_lists in;
    for (const std::uint16_t mark : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{0xffff}}) {
        for (stored_mutex* lock : {&in.numbers.slot().lock, &in.numbers.in().control().lock}) {
            const std::uint64_t sound = lock->told;
            lock->told = (sound & ~std::uint64_t{0xffff}) | mark;
            CHECK_FALSE(is_initialized(*lock));
            if (lock == &in.numbers.slot().lock) {
                CHECK_THROWS_AS(in.numbers.push_back(6), cairn::corrupt_segment);
            } else {
                CHECK_THROWS_AS(static_cast<void>(in.m.contains("numbers")), cairn::corrupt_segment);
            }
            lock->told = sound;
        }
    }
    CHECK(in.numbers == std::vector<long>{1, 2, 3, 4, 5});
}

TEST_CASE("the undo log of an object cannot name anything but the object's own memory") {
    const auto check_poisoned = [](const auto& place_in) {
        const planted_lists in;
        const segment_offset place = place_in(in);
        const auto* word = in.texts.in().template at<std::uint64_t>(place);
        const std::uint64_t before = *word;
        plant_record(in.texts, place, ~before);
        CHECK_THROWS_AS(in.texts.push_back("d"), cairn::object_poisoned);
        // Its upper half may be a lock's count of acquisitions, which goes on.
        CHECK(static_cast<std::uint32_t>(*word) == static_cast<std::uint32_t>(before));
        // The others go on.
        in.numbers.push_back(6);
        CHECK(in.numbers == std::vector<long>{1, 2, 3, 4, 5, 6});
    };
    SUBCASE("another object's node") {
        check_poisoned([](const auto& in) { return in.numbers.in().offset_of(&in.numbers.node_ref()); });
    }
    SUBCASE("its own lock") {
        check_poisoned([](const auto& in) { return in.texts.in().offset_of(&in.texts.slot().lock.told); });
    }
    SUBCASE("another object's lock") {
        check_poisoned([](const auto& in) { return in.texts.in().offset_of(&in.numbers.slot().lock.told); });
    }
    SUBCASE("the directory") {
        check_poisoned([](const auto& in) { return in.texts.in().header().buckets_offset; });
    }
    SUBCASE("the end of what is backed") {
        check_poisoned(
            [](const auto& in) { return in.texts.in().offset_of(&in.texts.in().control().committed_bytes); });
    }
}

TEST_CASE("the undo log of an object restores its own memory") {
    const planted_lists in;
    plant_record(in.numbers, in.numbers.in().offset_of(&in.numbers.node_ref().size), 2);
    in.numbers.push_back(9);
    CHECK(in.numbers == std::vector<long>{1, 2, 9});
}

TEST_CASE("the undo log of a segment cannot make it longer than its file") {
    const planted_lists in;
    segment_control& control = in.numbers.in().control();
    const std::uint64_t before = control.committed_bytes;
    const std::uint64_t record[] = {before + (1 << 20),
                                    log_record_word(in.numbers.in().offset_of(&control.committed_bytes), 8)};
    std::memcpy(control.log, record, sizeof record);
    control.log_bytes = sizeof record;
    CHECK_THROWS_AS(static_cast<void>(in.m.contains("numbers")), cairn::corrupt_segment);
    CHECK(control.committed_bytes == before);
    control.log_bytes = 0;
    CHECK(in.m.contains("numbers"));
}

TEST_CASE("a list that has more elements than its segment has bytes is damage, not a request for memory") {
    const planted_lists in;
    list_node& node = in.numbers.node_ref();
    const list_node sound = node;
    for (const std::uint64_t size : {std::uint64_t{1} << 20, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
        node.size = size;
        node.limit = size;
        CHECK_THROWS_AS(in.numbers.sort(), cairn::corrupt_segment);
        CHECK_THROWS_AS(in.numbers.reverse(), cairn::corrupt_segment);
        CHECK_THROWS_AS(static_cast<void>(in.numbers.snapshot()), cairn::corrupt_segment);
        CHECK_THROWS_AS(in.numbers.for_each([](long) {}), cairn::corrupt_segment);
        CHECK_THROWS_AS(in.numbers.erase(0), cairn::corrupt_segment);
    }
    std::memcpy(static_cast<void*>(&node), &sound, sizeof node);
    CHECK(in.numbers == std::vector<long>{1, 2, 3, 4, 5});
}

TEST_CASE("an object that is in the directory and not alive is damage, not a reason to look again for ever") {
    const planted_lists in;
    in.numbers.slot().state = static_cast<std::uint32_t>(root_state::erasing);
    CHECK_THROWS_AS(in.m.remove("numbers"), cairn::corrupt_segment);
    in.numbers.slot().state = static_cast<std::uint32_t>(root_state::live);
    CHECK(in.m.remove("numbers"));
}

TEST_CASE("a chain of the directory that leads back to itself has an end") {
    const planted_lists in;
    root_slot& slot = in.numbers.slot();
    slot.next_in_bucket = in.numbers.in().slot_number(slot) + 1;
    slot.next_slot = slot.next_in_bucket;
    in.numbers.in().control().slot_count = 0xffffffff;
    slot.name[0] = '?';  // so that the chain is walked on
    CHECK_THROWS_AS(static_cast<void>(in.m.contains("numbers")), cairn::corrupt_segment);
    CHECK(in.m.objects().size() <= in.numbers.in().committed_bytes() / root_slot_bytes);
}

}  // namespace planted_test
