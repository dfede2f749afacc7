// channel_core.hpp - channels of items of any size, without their type.
//
// Stored        channel_layout.hpp.
// Protected by  nothing where items go in and out: one thread at each end, which owns that end's pin (src/txn/root_pin.hpp).
//               The root's lock for who owns an end, for closing and for pictures of one moment; closing, pictures and
//               removing wait until nobody is at the ends.
// Invariants    both indices are below ring_words + 1; the items between them are whole; their number is the difference of
//               the counts in the marks.
// Commit        put: the store of the ring's write index. get: that of its read index.
// Failure       an item is decoded before the store that takes it: where that throws, it stays.
// Death         before the store nothing has happened, what was copied is nobody's. After it the item is in, or out. The end
//               is free for whoever wants it next. A wake that was not given any more is found by the sleeper's tick: unlike
//               in a queue the other end does not wait for a lock, so the wake can only come after the item.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/containers/channel_layout.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// "int64, boost 1.74": an element type's name with what else the stored bytes depend on.
CAIRN_API std::string channel_type_name(const std::string& element);

/// What a channel of items of that size is made of. `item_bytes` is 0 for blobs; `bytes` is what it holds at most with blobs
/// (0: 64 for each item). Throws invalid_argument, with `what` ("channel 'x' in segment 'y'") in the message.
struct channel_shape {
    std::uint64_t capacity;
    std::uint64_t ring_words;
    std::uint32_t item_bytes;
};
/// `blob_bytes`: what each blob has, where all have the same size; else 0.
CAIRN_API channel_shape channel_shape_of(const std::string& what, std::int64_t capacity, std::uint64_t bytes,
                                         std::size_t item_bytes, std::uint64_t blob_bytes = 0);

/// A new channel, empty, with nobody at its ends.
CAIRN_API segment_offset create_channel(root_transaction& tx, const channel_shape& shape);

/// Throws corrupt_segment when the node or its ring make no sense for items of that size (0: blobs).
CAIRN_API channel_node& channel_at(const segment& s, segment_offset node, std::size_t item_bytes);

/// A channel in use. `node` has been checked by channel_at().
struct channel_reference {
    segment& in;
    root_slot& slot;
    std::uint64_t generation;
    channel_node& node;
};

/// Puts an item, in the words that it has in the ring. False when there was no room until then, or a stop was requested.
/// Throws queue_closed, invalid_state (somebody else puts), invalid_argument (can never have room), object_gone.
CAIRN_API bool put_item(const channel_reference& c, std::span<const std::uint64_t> words,
                        steady_time deadline, const std::stop_token& stop);
/// What happens to the bytes of an item before it is taken: prepare() is called at the end of the channel, where nothing may
/// use Cairn. False leaves the item; what it throws, too.
class item_receiver {
public:
    virtual bool prepare(std::span<const std::byte> bytes) = 0;

protected:
    ~item_receiver() = default;
};

/// Takes the next item. In place: `words` has as many as an item. Blobs: they go to the receiver. False when there was
/// none until then. Throws queue_closed, invalid_state (somebody else gets), object_gone, corrupt_segment.
CAIRN_API bool get_item(const channel_reference& c, item_receiver& to, steady_time deadline,
                        const std::stop_token& stop);
CAIRN_API bool get_item(const channel_reference& c, std::span<std::uint64_t> words, steady_time deadline,
                        const std::stop_token& stop);

/// Somebody else may have the end, if this thread has it.
CAIRN_API void release_end(const channel_reference& c, channel_end end);

/// No further items; everybody looks again.
CAIRN_API void close_channel(const channel_reference& c);

/// Items that are in the ring.
CAIRN_API std::uint64_t count_items(const segment& s, const channel_node& node) noexcept;
/// Whether another item of that many words would have room.
CAIRN_API bool has_room_for(const segment& s, const channel_node& node, std::uint64_t words) noexcept;

/// The words between the indices, of one moment; where the segment is read-only, of what is there all the time.
CAIRN_API std::vector<std::uint64_t> copy_of_items(const channel_reference& c);

/// The bytes of the item that begins at `words[at]`, and `at` behind it. Null, with `at` at the end, where there is none.
/// `item_bytes` is 0 for blobs.
CAIRN_API std::span<const std::byte> next_item(std::size_t item_bytes, std::span<const std::uint64_t> words,
                                               std::size_t& at) noexcept;

CAIRN_INLINE bool is_channel_closed(const channel_node& node) noexcept {
    return load_word(node.state) != channel_state::open;
}

/// Throws type_mismatch when the channel was made with another capacity, or with other bytes if those matter.
CAIRN_API void require_channel_shape(const channel_reference& c, const channel_shape& wanted, bool any_bytes);

/// Of a blob that needs no memory on its way: 256 bytes and their length.
constexpr std::size_t most_words_on_stack = 33;

/// A blob as it lies in the ring.
class blob_words {
public:
    explicit blob_words(std::span<const std::byte> bytes) {
        const std::uint64_t count = channel_blob_words(bytes.size());
        std::uint64_t* to = small_.data();
        if (count > small_.size()) {
            large_.resize(count);
            to = large_.data();
        }
        words_ = {to, count};
        to[count - 1] = 0;  // what fills it up
        to[0] = bytes.size();
        if (!bytes.empty()) std::memcpy(to + 1, bytes.data(), bytes.size());
    }
    blob_words(const blob_words&) = delete;
    blob_words& operator=(const blob_words&) = delete;
    [[nodiscard]] std::span<const std::uint64_t> get() const noexcept { return words_; }

private:
    std::array<std::uint64_t, most_words_on_stack> small_;
    std::vector<std::uint64_t> large_;
    std::span<const std::uint64_t> words_;
};

// ---- inspection ----------------------------------------------------------------------------------------------------

/// What lies between the indices, at rest or in a copy. The node was checked.
std::vector<std::uint64_t> stored_items(const segment& s, const channel_node& node);

/// Reports every block of the channel to the audit; empty, or the first invariant that does not hold.
CAIRN_API std::string check_channel(const segment& s, channel_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
