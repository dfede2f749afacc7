// channel_ring.hpp - the ring of a channel, in its block: channel_layout.hpp says how it lies there.
//
// boost::lockfree::spsc_queue with a capacity known at run time takes its buffer from an allocator, and keeps what that gives
// as the allocator's pointer type: here an offset_ptr, so that neither ring nor buffer holds an address. Its members are
// protected, so what is read from them is Boost's own documented state; a version in which they are called otherwise does
// not compile, and one in which they lie otherwise has another number, which the channel's type carries.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/interprocess/offset_ptr.hpp>
#include <boost/lockfree/policies.hpp>
// What front() asserts would look at the other end once more, and a damaged index is an error rather than an abort.
#define BOOST_DISABLE_ASSERTS
#include <boost/lockfree/spsc_queue.hpp>
#undef BOOST_DISABLE_ASSERTS
#include <boost/assert.hpp>

#include <cairn/detail/containers/channel_layout.hpp>
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Gives out one piece of memory that is there already; it ends with the root.
template <typename T>
struct memory_of_ring {
    using value_type = T;
    using pointer = boost::interprocess::offset_ptr<T>;

    explicit memory_of_ring(T* at) noexcept : memory(at) {}
    template <typename U>
    explicit memory_of_ring(const memory_of_ring<U>& other) noexcept
        : memory(reinterpret_cast<T*>(other.memory.get())) {}

    [[nodiscard]] pointer allocate(std::size_t) const noexcept { return memory; }
    void deallocate(pointer, std::size_t) const noexcept {}
    friend bool operator==(const memory_of_ring& a, const memory_of_ring& b) noexcept {
        return a.memory == b.memory;
    }

    pointer memory;
};

using ring_memory = memory_of_ring<std::uint64_t>;
using boost_ring = boost::lockfree::spsc_queue<std::uint64_t, boost::lockfree::allocator<ring_memory>>;

class channel_ring : public boost_ring {
public:
    channel_ring(std::uint64_t* buffer, std::uint64_t words) : boost_ring(words, ring_memory(buffer)) {}

    // acquire: pairs with the release of a push or pop; what it has copied is there
    [[nodiscard]] std::uint64_t write_index() const noexcept {
        return write_index_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::uint64_t read_index() const noexcept {
        return read_index_.load(std::memory_order_acquire);
    }
    /// As a pop of `count` words that were copied from read_index() `at` on.
    void drop(std::uint64_t at, std::uint64_t count) noexcept {
        const std::uint64_t next = at + count;
        // release: pairs with the acquire of the producer; they were copied before they are overwritten
        read_index_.store(next < index_limit() ? next : next - index_limit(), std::memory_order_release);
    }
    /// For spinning on them.
    [[nodiscard]] const std::uint64_t& write_word() const noexcept { return word_of(write_index_); }
    [[nodiscard]] const std::uint64_t& read_word() const noexcept { return word_of(read_index_); }
    /// One more than it holds at most: the indices are below it.
    [[nodiscard]] std::uint64_t index_limit() const noexcept { return this->max_number_of_elements(); }

private:
    static const std::uint64_t& word_of(const std::atomic<std::size_t>& index) noexcept {
        static_assert(sizeof index == sizeof(std::uint64_t) && std::atomic<std::size_t>::is_always_lock_free);
        return reinterpret_cast<const std::uint64_t&>(index);
    }
};

/// What lies at channel_node::ring.
struct channel_block {
    std::uint64_t put_mark;  // written by the producer
    channel_ring ring;
    std::uint64_t get_mark;  // written by the consumer

    // The rest of the second line is the padding of this struct, so that the words begin a line.
    static constexpr std::uint64_t words_at = 2 * cache_line_bytes;
};
static_assert(sizeof(channel_block) <= channel_block::words_at);
static_assert(BOOST_LOCKFREE_CACHELINE_BYTES == cache_line_bytes);

/// Words that a ring's buffer has: spsc_queue keeps one free.
constexpr std::uint64_t buffer_words(std::uint64_t ring_words) noexcept {
    return ring_words + 1;
}

/// The block of a node that was checked.
inline channel_block& block_of(const segment& s, const channel_node& node) noexcept {
    return *s.at<channel_block>(load_word(node.ring));
}

/// Where a block has words that are neither zero nor different from ring to ring.
struct ring_constants {
    struct word_at {
        std::size_t index;
        std::uint64_t value;
    };
    static constexpr std::size_t few = 2;  // as many as Boost 1.74 has
    std::array<word_at, 4> words{};        // the rest are the first one once more
    bool has_more = false;                 // than few
};
/// Zeros before the library's own static objects are made: static objects of a program that it is a part of (libcairn.a) may come before.
extern const ring_constants constants_of_rings;

/// is_ring_in_place() by a ring that is made for it.
CAIRN_COLD bool is_ring_in_place_by_another(const channel_block& block, std::uint64_t ring_words) noexcept;

/// The ring's own words, but for its indices, are those that it was made with: its size, and where its pointers lead. They are
/// relative, so they are the same in all channels. Reads words only.
CAIRN_INLINE bool is_ring_in_place(const channel_block& block, std::uint64_t ring_words,
                                   const ring_constants& expected = constants_of_rings) noexcept {
    const auto* words = reinterpret_cast<const std::uint64_t*>(&block);
    std::uint64_t differences = block.ring.index_limit() ^ (ring_words + 1);
    const std::size_t count = expected.has_more ? expected.words.size() : expected.few;
    for (std::size_t i = 0; i < count; ++i)
        differences |= load_word(words[expected.words[i].index]) ^ expected.words[i].value;
    if (differences == 0) [[likely]]
        return true;
    return is_ring_in_place_by_another(block, ring_words);
}

/// Empty, or what is wrong with a channel's node and the constant part of its ring, or its indices. Reads words only.
std::string check_channel_node(const segment& s, const channel_node& node);

/// Words between the indices.
inline std::uint64_t used_words(std::uint64_t write_index, std::uint64_t read_index,
                                std::uint64_t limit) noexcept {
    return write_index >= read_index ? write_index - read_index : write_index + limit - read_index;
}

}  // namespace cairn::inline CAIRN_ABI::detail
