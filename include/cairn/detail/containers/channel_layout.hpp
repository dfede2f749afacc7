// channel_layout.hpp - what a channel is in its root's arena.
//
// Items are words of 8 bytes in a boost::lockfree::spsc_queue<uint64_t>, which lies in a block of its own with its buffer:
//
//   block        | put_mark | spsc_queue: write_index .. | .. read_index, size, place of the buffer | get_mark | words ...
//                  first line: the producer's              second line: the consumer's
//   in place     item_words words an item; the last one is filled up with zeros
//   blob         one word that says how many bytes, then these, filled up
//
// Each item goes in with one push and out with one pop, so its index's one store decides. How the spsc_queue lies in the
// block depends on the version of Boost that the library was built with; it is part of the type's name, so that a library
// with another one refuses the channel. The ends (who puts, who gets) are the root's pins.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>
#include <cairn/detail/containers/list_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Numbers of the event counts of a channel's root: who sleeps until something happens at the other end.
enum channel_event : std::uint32_t { channel_has_item = 0, channel_has_room = 1 };

/// Numbers of the pins of a channel's root. The consumer's words in the block share no line with the producer's; nor do these.
enum channel_end : std::uint32_t { consumer_end = 0, producer_end = 1 };

enum class channel_state : std::uint8_t {
    open = 0,
    closed = 1  // takes no more items; gives out what it has
};

/// All but the last three are set by create, then constant. Those are written under the root's lock, logged, while nobody is
/// at the pins.
struct channel_node {
    std::uint64_t capacity;    // items
    std::uint64_t ring_words;  // what the ring holds at most
    std::uint64_t block;       // offset
    std::uint64_t block_bytes;
    std::uint64_t ring;        // offset, inside the block: begins a line
    std::uint32_t item_words;  // 0: blobs
    std::uint32_t item_bytes;  // of an item in place
    element_form form;
    channel_state state;
    std::uint8_t reserved_[2];
    std::uint32_t closed_pid;
    std::int64_t closed_nanoseconds;  // since 1970
};
static_assert(std::is_standard_layout_v<channel_node> && sizeof(channel_node) == 64);
static_assert(offsetof(channel_node, state) == 49);  // format 2; a change needs a new format number

/// How many items have gone through an end, and where its index was then: count << 32 | index. Written before an item is put or
/// taken, so the count is one more if the index has moved on since. One word, so a death leaves it whole.
constexpr std::uint64_t make_mark(std::uint32_t count, std::uint64_t index) noexcept {
    return std::uint64_t{count} << 32 | static_cast<std::uint32_t>(index);
}
constexpr std::uint32_t count_at(std::uint64_t mark, std::uint64_t index) noexcept {
    return static_cast<std::uint32_t>(mark >> 32) + (static_cast<std::uint32_t>(mark) != index ? 1 : 0);
}

/// A bound that keeps indices in 32 bits, and sums of bytes in 64.
constexpr std::uint64_t most_channel_words = std::uint64_t{1} << 31;

/// Words of an item in place.
constexpr std::uint32_t channel_item_words(std::size_t bytes) noexcept {
    return static_cast<std::uint32_t>((bytes + 7) / 8);
}
/// Words of a blob.
constexpr std::uint64_t channel_blob_words(std::uint64_t bytes) noexcept {
    return 1 + (bytes + 7) / 8;
}

}  // namespace cairn::inline CAIRN_ABI::detail
