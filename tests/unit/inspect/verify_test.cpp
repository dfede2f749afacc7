// SPDX-License-Identifier: BSL-1.0
#include "inspect/verify.hpp"

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "planted.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/segment/undo_log.hpp>
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace verify_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

root_slot& slot_called(const segment& s, std::string_view name) {
    for (std::uint32_t link = s.control().first_slot; link != 0;) {
        root_slot& slot = s.slot(link - 1);
        if (slot.state == static_cast<std::uint32_t>(root_state::live) &&
            std::string_view(slot.name, slot.name_bytes) == name)
            return slot;
        link = slot.next_slot;
    }
    FAIL("no such object");
    return s.slot(0);
}

std::string joined(const std::vector<std::string>& all) {
    std::string text;
    for (const std::string& each : all) text += each + "\n";
    return text;
}

// A sound segment, with one thing at a time spoilt and put back.
class spoiler {
public:
    spoiler() : manager_(cairn::manager::create(name_, small_segment())) {
        fill(manager_);
        segment_ = open_named(name_.get(), {});
    }
    [[nodiscard]] segment& in() const { return *segment_; }
    [[nodiscard]] root_slot& slot(std::string_view name) const { return slot_called(*segment_, name); }
    [[nodiscard]] list_node& node(std::string_view name) const {
        return *segment_->at<list_node>(slot(name).node);
    }

    // The problems while `word` has that value.
    template <typename T>
    [[nodiscard]] std::string with(T& word, std::type_identity_t<T> value) const {
        const T before = word;
        word = value;
        std::string found = joined(verify_segment(*segment_));
        word = before;
        return found;
    }

private:
    scratch_name name_{"verify"};
    cairn::manager manager_;
    segment_ptr segment_;
};

}  // namespace

TEST_CASE("a segment that was used by sound programs has no problems") {
    const scratch_name name("verify");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    const segment_ptr s = open_named(name.get(), {});
    CHECK(joined(verify_segment(*s)).empty());
    fill(m);
    CHECK(joined(verify_segment(*s)).empty());
    m.list<std::string>("texts").clear();
    m.list<long>("numbers").clear();
    CHECK(joined(verify_segment(*s)).empty());
    for (const cairn::object_info& each : m.objects()) m.remove(each.name);
    CHECK(joined(verify_segment(*s)).empty());
}

TEST_CASE("a segment that has been full has no problems") {
    const scratch_name name("verify");
    const cairn::manager m = cairn::manager::create(name, {.max_size = 1 << 20, .initial_size = 1});
    const segment_ptr s = open_named(name.get(), {});
    const auto texts = m.list<std::string>("texts");
    const auto numbers = m.list<long>("numbers");
    // Blocks of every size class, then what fits between them.
    for (const std::size_t bytes : {std::size_t{3000}, std::size_t{200}, std::size_t{40}, std::size_t{16}}) {
        try {
            for (std::size_t i = 0;; ++i) texts.push_back(std::string(bytes + i % 100, 'x'));
        } catch (const cairn::segment_full&) {}
        CHECK(joined(verify_segment(*s)).empty());
    }
    CHECK_THROWS_AS(
        [&] {
            for (;;) numbers.push_back(1);
        }(),
        cairn::segment_full);
    CHECK(joined(verify_segment(*s)).empty());
    texts.clear();
    CHECK(joined(verify_segment(*s)).empty());
}

TEST_CASE("every kind of damage is found, and named") {
    const spoiler sound;
    const segment& s = sound.in();
    segment_control& control = s.control();
    REQUIRE(joined(verify_segment(s)).empty());

    SUBCASE("the segment") {
        CHECK(contains(sound.with(control.free_pages, control.free_pages + 1), "free pages"));
        CHECK(contains(sound.with(control.live_root_count, 9), "counts 9 objects"));
        CHECK(contains(sound.with(control.slot_count, 1), "control blocks"));
        CHECK(contains(sound.with(control.first_slot, 0), "control blocks"));
        CHECK(contains(sound.with(control.first_free_slot, 0), "free"));
        CHECK(contains(sound.with(control.log_bytes, 16), "undo log is not empty"));
        CHECK(contains(sound.with(control.pending_slot, 1), "being made or removed"));
        CHECK(contains(sound.with(control.last_generation, 0), "never given out"));
        CHECK(contains(sound.with(control.last_participant, 0), "never given out"));
        CHECK(contains(sound.with(control.committed_bytes, control.committed_bytes - 1), "makes no sense"));
        for (std::uint32_t order = 0; order < 20; ++order) {
            if (control.free_heads[order] == 0) continue;
            CHECK(contains(sound.with(control.free_heads[order], 0),
                           "free list of order " + std::to_string(order)));
        }
        CHECK(contains(sound.with(control.free_heads[30], 1), "free list of order 30"));
    }
    SUBCASE("the page map") {
        const root_slot& slot = sound.slot("texts");
        page_entry& entry = s.page(slot.extents - 1);
        CHECK(contains(sound.with(entry.tag, 0), "is in no extent"));
        CHECK(contains(sound.with(entry.tag, entry.tag ^ 1), "page"));
        CHECK(contains(sound.with(entry.tag, entry.tag | 31), "of order 31 does not fit"));
        CHECK(contains(sound.with(entry.owner, 0), "owner does not fit"));
        CHECK(contains(sound.with(entry.owner, entry.owner + 1), "not its own"));
        CHECK(contains(sound.with(entry.next, 0), "chain"));
        CHECK(contains(sound.with(entry.next, slot.extents), "chain"));
        CHECK(contains(sound.with(entry.previous, 77), "does not lead back"));
    }
    SUBCASE("a control block") {
        root_slot& slot = sound.slot("texts");
        CHECK(contains(sound.with(slot.version, slot.version + 1), "list 'texts': its version is odd"));
        CHECK(contains(sound.with(slot.log_head, 24), "list 'texts': its undo log is not empty"));
        CHECK(contains(sound.with(slot.operation.kind, 1), "was not carried to its end"));
        CHECK(contains(sound.with(slot.rolling_back, 1), "rollback"));
        CHECK(contains(sound.with(slot.settled, 0), "extents"));
        CHECK(contains(sound.with(slot.pending_free, 5), "wait to be freed"));
        CHECK(contains(sound.with(slot.extent_pages, 1), "pages"));
        CHECK(contains(sound.with(slot.type_name, 0), "type"));
        CHECK(contains(sound.with(slot.fingerprint, 0), "type was changed"));
        CHECK(contains(sound.with(slot.kind, 99), "of no known kind"));
        CHECK(contains(sound.with(slot.name_bytes, 0), "cannot be one"));
        CHECK(contains(sound.with(slot.name[0], 'T'), "does not lead to it"));
        CHECK(contains(sound.with(slot.name_hash, 1), "does not lead to it"));
        CHECK(contains(sound.with(slot.state, static_cast<std::uint32_t>(root_state::poisoned)), "poisoned"));
        CHECK(contains(sound.with(slot.state, 17U), "no known state"));
        CHECK(contains(sound.with(slot.lock.word, 4711), "lock is not free"));
        CHECK(contains(sound.with(slot.node, 12), "node"));
    }
    SUBCASE("an arena") {
        arena_header& arena = sound.slot("texts").arena;
        CHECK(contains(sound.with(arena.bump, arena.bump_end + 16), "arena"));
        CHECK(contains(sound.with(arena.loose_pages, 99), "young pages"));
        bool has_free = false;
        for (std::uint64_t& head : arena.loose_free) {
            if (head == 0) continue;
            has_free = true;
            CHECK(contains(sound.with(head, 0), "arena"));
            CHECK(contains(sound.with(head, 8), "free blocks"));
        }
        CHECK(has_free);
        bool has_span = false;
        for (std::uint32_t& head : arena.partial_spans) {
            if (head == 0) continue;
            has_span = true;
            CHECK(contains(sound.with(head, 0), "span"));
            auto& state = *s.at<std::uint64_t>(s.page_offset(head - 1));
            CHECK(contains(sound.with(state, state + (1 << 16)), "span"));
        }
        CHECK(has_span);
    }
    SUBCASE("a list") {
        list_node& node = sound.node("numbers");
        CHECK(contains(sound.with(node.size, node.size + 3000), "list"));
        CHECK(contains(sound.with(node.size, std::uint64_t{1} << 40),
                       "more elements than the segment has bytes"));
        CHECK(contains(sound.with(node.limit, node.limit + 1), "list"));
        CHECK(contains(sound.with(node.tail_base, 0), "list"));
        CHECK(contains(sound.with(node.directory, 0), "list"));
        CHECK(contains(sound.with(node.chunks[1], 0), "has no chunk"));
        CHECK(contains(sound.with(node.chunks[1], node.chunks[2]), "arena"));
        CHECK(contains(sound.with(node.stride, 7), "list"));
        CHECK(contains(sound.with(node.base_log2, 1), "geometry"));
        CHECK(contains(sound.with(node.form, element_form::blob), "list"));
        auto& blob = *s.at<blob_slot>(sound.node("texts").chunks[2]);
        CHECK(contains(sound.with(blob.first, 64), "list 'texts'"));
        CHECK(contains(sound.with(blob.last, std::uint64_t{0x20} << 56), "list 'texts'"));
        auto& flag = *s.at<unsigned char>(sound.node("flags").chunks[0]);
        CHECK(contains(sound.with(flag, static_cast<unsigned char>(3)), "element 0 is no bool"));
    }
    CHECK(joined(verify_segment(s)).empty());
}

TEST_CASE("a segment in use is verified from outside without a false alarm") {
    const scratch_name name("verify");
    const cairn::manager m = cairn::manager::create(name, {});
    fill(m);
    child writer([&] {
        const auto texts = m.list<std::string>("busy");
        for (;;) {
            texts.push_back(std::string(50, 'y'));
            if (texts.size() > 200) texts.clear();
            static_cast<void>(m.list<int>("comes and goes", {1, 2, 3}));
            m.remove("comes and goes");
        }
    });
    const cairn::inspection look(name.get());
    for (std::size_t i = 0; i < scaled(50); ++i) {
        const cairn::verification found = look.verify({.deep = true, .patience_ms = 20});
        CHECK(joined(found.problems) == "");
        // Those that nobody changes; or it says that so short a patience was not enough, as it may be on a busy machine.
        CHECK((found.object_count >= 4 || !found.busy.empty()));
    }
    writer.kill();
    static_cast<void>(writer.join());
    const cairn::verification after = look.verify({.deep = true});
    CHECK(joined(after.problems).empty());
    CHECK(joined(after.busy) == "");
    CHECK(after.object_count >= 4);
}

TEST_CASE("an object whose making was cut off by a death is not waited for: the next user finds that it is "
          "not there") {
    const scratch_name name("verify");
    const cairn::manager m = cairn::manager::create(name, {});
    const auto numbers = m.list<long>("numbers", {1, 2});
    const opened_list<long> cut_off(m.list<long>("cut off"));
    root_slot& slot = cut_off.slot();
    segment_control& control = cut_off.in().control();
    const std::uint32_t link = cut_off.in().slot_number(slot) + 1;
    auto* buckets = cut_off.in().at<std::uint32_t>(cut_off.in().header().buckets_offset);
    while (*buckets != link) ++buckets;
    // Its maker has made it visible, and died before that counted: the segment's log takes back state, name and count.
    const auto log = [&](std::uint32_t& word, std::uint32_t old) {
        const std::uint64_t record[] = {old, log_record_word(cut_off.in().offset_of(&word), sizeof word)};
        std::memcpy(control.log + control.log_bytes, record, sizeof record);
        control.log_bytes += sizeof record;
    };
    log(slot.state, static_cast<std::uint32_t>(root_state::building));
    log(*buckets, slot.next_in_bucket);
    log(control.live_root_count, control.live_root_count - 1);
    control.pending_slot = link;

    const cairn::verification found =
        cairn::inspection(name.get()).verify({.deep = true, .patience_ms = 1000});
    CHECK(joined(found.problems) == "");
    CHECK(joined(found.busy) == "");
    CHECK(found.object_count == 1);
    CHECK_FALSE(m.contains("cut off"));
    CHECK(numbers == std::vector<long>{1, 2});
}

}  // namespace verify_test
