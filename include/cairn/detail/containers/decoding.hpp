// decoding.hpp - when an element is decoded that is taken out of a container.
//
// Rule          an element is decoded before the commit that takes it: a decoding that throws leaves it where it was.
//
//   by the library's codecs   under the lock; what is large and made of parts as by the user's
//   by the user's codecs      its bytes are copied under the lock and decoded without it; then it is taken, under the lock, if
//                             it still has these bytes. After a few lost races it is decoded under the lock, so that it ends
//
// Either way the thread counts as inside an operation while it decodes: a codec that uses Cairn there gets would_deadlock
// every time, not only when others were faster. The value is moved to the caller after the commit, so that moving must not
// throw.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/element.hpp>
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr int most_decodings_outside = 3;
constexpr std::uint64_t least_large_bytes =
    4096;  // as of early_copy: below it two looks take longer than the work

/// While it lives, this thread is inside an operation.
class decoding_mark : private open_transaction {
public:
    decoding_mark() noexcept {
        outer = this_thread.open;
        this_thread.open = this;
    }
    decoding_mark(const decoding_mark&) = delete;
    decoding_mark& operator=(const decoding_mark&) = delete;
    ~decoding_mark() {
        if (!open_transaction::is_inert) this_thread.open = outer;
    }
};

/// When the bytes of an element that is taken are decoded.
template <typename T>
constexpr bool is_decoded_under_lock(std::uint64_t bytes, int decoded_outside, bool must_decode) noexcept {
    return must_decode || decoded_outside >= most_decodings_outside ||
           (is_decoded_by_library<T>() && bytes < least_large_bytes);
}

/// A value that is taken out, from its bytes.
template <typename T>
class decoding {
public:
    /// Under the lock, with the value's bytes as they are in the segment: true when it is decoded. False when the caller is to
    /// give the lock back without having changed anything, to call decode_outside(), and to come again. `must_decode` where it
    /// cannot.
    bool prepare(std::span<const std::byte> bytes, bool must_decode) {
        if constexpr (is_copied_whole<T>()) {
            value_.emplace(codec<T>::decode(bytes));
            return true;
        } else {
            if (value_ && std::equal(bytes.begin(), bytes.end(), bytes_.begin(), bytes_.end())) return true;
            value_.reset();
            bytes_.assign(bytes.begin(), bytes.end());
            if (!is_decoded_under_lock<T>(bytes.size(), rounds_, must_decode)) return false;
            value_.emplace(codec<T>::decode(bytes_));
            return true;
        }
    }
    void decode_outside() {
        if constexpr (!is_copied_whole<T>()) {
            if (value_) return;
            ++rounds_;
            const decoding_mark mark;
            value_.emplace(codec<T>::decode(bytes_));
        }
    }
    [[nodiscard]] T take() { return *std::move(value_); }  // NOLINT(bugprone-unchecked-optional-access)

private:
    std::vector<std::byte> bytes_;  // that the value is of, or will be
    std::optional<T> value_;
    int rounds_ = 0;
};

/// An element that is taken out, from its slot.
template <typename T>
class element_to_take {
    using traits = element_traits<T>;

public:
    /// As decoding::prepare().
    CAIRN_INLINE bool prepare(const root_transaction& tx, const std::byte* slot) {
        if constexpr (traits::in_place) {
            stored_.emplace(slot);
            return true;
        } else if constexpr (stored_as_is<T>) {
            if (stored_.copy(tx.in(), slot) == read_result::torn) throw_damaged(tx.in(), tx.slot());
            return true;
        } else {
            return prepare_blob(tx, slot);
        }
    }
    CAIRN_INLINE void decode_outside() {
        if constexpr (!stored_as_is<T>) stored_.decode_outside();
    }
    [[nodiscard]] CAIRN_INLINE T take() {
        if constexpr (traits::in_place) return stored_->get();  // NOLINT(bugprone-unchecked-optional-access)
        else return stored_.take();
    }

private:
    bool prepare_blob(const root_transaction& tx, const std::byte* from) {
        alignas(8) blob_slot slot;
        copy_out_fixed<sizeof slot>(&slot, from);
        std::uint64_t count = 0;
        const std::byte* at = find_blob(tx.in(), slot, count);
        if (at == nullptr) throw_damaged(tx.in(), tx.slot());
        return stored_.prepare({at, count}, tx.has_joined());
    }

    std::conditional_t<traits::in_place, std::optional<in_place_copy<T>>,
                       std::conditional_t<stored_as_is<T>, element_copy<T>, decoding<T>>>
        stored_;
};

/// Several elements that are taken out together.
template <typename T>
class batch_to_take {
public:
    /// More than these would be another batch.
    [[nodiscard]] std::uint64_t most() const noexcept {
        return is_decoded_ ? values_.size() : std::numeric_limits<std::uint64_t>::max();
    }
    /// Where they are copied to, under the lock, each time.
    [[nodiscard]] std::vector<element_copy<T>>& copies() noexcept { return copies_; }

    /// As decoding::prepare(), once they are copied.
    bool prepare(bool must_decode) {
        if constexpr (is_copied_whole<T>()) {
            decode(copies_);
            return true;
        } else {
            if (is_decoded_ && begins_with_copies()) {
                values_.erase(std::next(values_.begin(), static_cast<std::ptrdiff_t>(copies_.size())),
                              values_.end());
                return true;
            }
            is_decoded_ = false;
            std::uint64_t bytes = 0;
            for (const element_copy<T>& each : copies_) bytes += each.byte_count();
            if (is_decoded_under_lock<T>(bytes, rounds_, must_decode)) {
                decode(copies_);
                return true;
            }
            from_.swap(copies_);
            return false;
        }
    }
    void decode_outside() {
        ++rounds_;
        const decoding_mark mark;
        decode(from_);
        is_decoded_ = true;
    }
    [[nodiscard]] std::vector<T> take() noexcept { return std::move(values_); }

private:
    void decode(std::vector<element_copy<T>>& from) {
        values_.clear();
        values_.reserve(from.size());
        for (element_copy<T>& each : from) values_.push_back(each.take());
    }
    bool begins_with_copies() const
        requires(!is_copied_whole<T>())
    {
        return copies_.size() <= values_.size() &&
               std::equal(copies_.begin(), copies_.end(), from_.begin(),
                          [](const element_copy<T>& a, const element_copy<T>& b) {
                              return std::ranges::equal(a.bytes(), b.bytes());
                          });
    }

    std::vector<element_copy<T>> copies_;
    std::vector<element_copy<T>> from_;  // that values_ are of, or will be
    std::vector<T> values_;
    bool is_decoded_ = false;
    int rounds_ = 0;
};

}  // namespace cairn::inline CAIRN_ABI::detail
