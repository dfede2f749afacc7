// element.hpp - elements of a type, in slots of a list: in place or as blobs.
//
// Encoding happens before the lock is taken. What is read is decoded after it was given back; what is taken out, before it is
// taken (decoding.hpp).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/txn/reading.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
struct element_traits {
    static constexpr bool in_place = inline_bytes<T>() != 0;
    static constexpr element_form form = in_place ? element_form::in_place : element_form::blob;
    static constexpr std::uint32_t stride = in_place ? stride_for(sizeof(T)) : sizeof(blob_slot);
    /// One aligned store writes the whole element: readers never see half of it.
    static constexpr bool is_word =
        in_place && sizeof(T) == stride && (stride == 1 || stride == 2 || stride == 4 || stride == 8);
    /// How operations take an element: a string by view, so that literals make no std::string.
    using parameter = std::conditional_t<std::is_same_v<T, std::string>, std::string_view, const T&>;
};

/// The bytes of a value, encoded outside the lock.
template <typename T>
class encoded {
public:
    explicit encoded(typename element_traits<T>::parameter value) {
        if constexpr (std::is_same_v<T, std::string>) {
            bytes_ = std::as_bytes(std::span(value.data(), value.size()));
        } else {
            const std::size_t count = codec<T>::size(value);
            std::byte* to = small_.data();
            if (count > small_.size()) {
                large_.resize(count);
                to = large_.data();
            }
            codec<T>::encode(value, to);
            bytes_ = {to, count};
        }
    }
    encoded(const encoded&) = delete;
    encoded& operator=(const encoded&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

private:
    std::array<std::byte, 256> small_;
    std::vector<std::byte> large_;
    std::span<const std::byte> bytes_;
};

/// The range itself, or its elements in a vector where it cannot tell how many they are, or looking at them changes it (a
/// filter view, a generator).
template <std::ranges::input_range Range>
decltype(auto) as_sized(Range&& range) {
    using bare = std::remove_cvref_t<Range>;
    if constexpr (std::ranges::input_range<const bare> && std::ranges::sized_range<const bare>) {
        return static_cast<const bare&>(range);
    } else {
        std::vector<std::ranges::range_value_t<bare>> elements;
        for (auto&& each : range) elements.push_back(std::forward<decltype(each)>(each));
        return elements;
    }
}

/// Many values, encoded outside the lock: in-place elements side by side, or the bytes of each blob.
template <typename T>
class encoded_range {
    using traits = element_traits<T>;

public:
    /// Refers to the range's memory where that is already in the stored form; the range must outlive this object.
    template <typename Range>
    encoded_range(const Range& range, std::uint64_t) : encoded_range(range) {}
    template <typename Range>
    explicit encoded_range(const Range& range) : count_(std::ranges::size(range)) {
        if constexpr (traits::in_place && std::ranges::contiguous_range<const Range> &&
                      sizeof(T) == traits::stride && std::is_same_v<std::ranges::range_value_t<Range>, T>) {
            elements_ = reinterpret_cast<const std::byte*>(std::ranges::data(range));
        } else if constexpr (traits::in_place) {
            bytes_.resize(count_ * traits::stride);
            std::byte* to = bytes_.data();
            for (const auto& element : range) {
                const T value = static_cast<T>(element);
                std::memcpy(to, &value, sizeof value);
                to += traits::stride;
            }
            elements_ = bytes_.data();
        } else {
            encode_blobs(range);
        }
    }
    encoded_range(const encoded_range&) = delete;
    encoded_range& operator=(const encoded_range&) = delete;

    [[nodiscard]] std::uint64_t size_in_bytes() const noexcept {
        return traits::in_place ? count_ * traits::stride : bytes_.size() + count_ * sizeof(blob_slot);
    }

    /// Of the elements that are blobs: where each ends in the bytes of all.
    [[nodiscard]] std::span<const std::size_t> ends() const noexcept { return ends_; }

    /// Under the lock: appends all.
    void append_to(root_transaction& tx, list_node& node) const {
        if constexpr (traits::in_place) {
            append_elements(tx, node, traits::stride, elements_, count_);
        } else {
            std::vector<blob_slot> blobs = empty_blobs();
            require_room(tx);
            append_blobs_to(tx, node, blobs);
        }
    }

    /// Of elements that are blobs. To be made before memory is asked for: it may throw.
    [[nodiscard]] std::vector<blob_slot> empty_blobs() const { return std::vector<blob_slot>(count_); }
    /// Throws segment_full where moving blocks is of no use either.
    void require_room(root_transaction& tx) const { require_room_for(tx, ends_); }
    void append_blobs_to(root_transaction& tx, list_node& node, std::vector<blob_slot>& blobs) const {
        tx.begin_change();  // blocks and size become the list's together
        for (std::size_t i = 0; i < count_; ++i) {
            const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
            write_blob(tx, blobs[i], std::span(bytes_).subspan(begin, ends_[i] - begin));
        }
        append_elements(tx, node, traits::stride, reinterpret_cast<const std::byte*>(blobs.data()), count_);
    }

private:
    template <typename Range>
    void encode_blobs(const Range& range) {
        ends_.reserve(count_);
        for (const auto& value : range) {
            const encoded<T> one(value);
            bytes_.insert(bytes_.end(), one.bytes().begin(), one.bytes().end());
            ends_.push_back(bytes_.size());
        }
    }

    std::size_t count_;
    const std::byte* elements_ = nullptr;
    std::vector<std::byte> bytes_;
    std::vector<std::size_t> ends_;
};

/// Writes an in-place element that has the size of its stride or less; the rest of the stride is zero.
template <typename T>
CAIRN_INLINE void write_in_place(std::byte* to, const T& value) noexcept {
    using traits = element_traits<T>;
    if constexpr (sizeof(T) == traits::stride) {
        copy_in_fixed<sizeof(T)>(to, &value);
    } else {
        alignas(8) std::array<std::byte, traits::stride> padded{};
        std::memcpy(padded.data(), &value, sizeof value);
        copy_in_fixed<traits::stride>(to, padded.data());
    }
}

/// The bytes of an in-place element, copied word by word; a value once they are known to be whole.
template <typename T>
class in_place_copy {
public:
    CAIRN_INLINE explicit in_place_copy(const std::byte* from) noexcept {
        copy_out_fixed<element_traits<T>::stride>(bytes_.data(), from);
    }
    [[nodiscard]] CAIRN_INLINE T get() const noexcept {
        if constexpr (std::is_same_v<T, bool>) return bytes_[0] != std::byte{0};
        else return *std::launder(reinterpret_cast<const T*>(bytes_.data()));
    }

private:
    alignas(alignof(T) > 8 ? alignof(T) : 8) std::array<std::byte, element_traits<T>::stride> bytes_;
};

/// An element as it was copied out of its slot, which is a value once the bytes are known to be whole. A string, or a vector
/// of numbers, is copied to where it stays; the bytes of other blobs are decoded when it is taken.
template <typename T>
class element_copy {
    using traits = element_traits<T>;
    /// Copied to where it stays.
    static constexpr bool is_kept = !traits::in_place && is_copied_whole<T>() && !stored_as_is<T>;

public:
    /// Torn when the slot of a blob leads nowhere.
    CAIRN_INLINE read_result copy(const segment& s, const std::byte* slot) {
        if constexpr (traits::in_place) {
            stored_.emplace(slot);
            return read_result::done;
        } else {
            return copy_blob(s, slot);
        }
    }
    [[nodiscard]] std::size_t byte_count() const noexcept {
        if constexpr (traits::in_place) return sizeof(T);
        else return stored_.size() * sizeof(stored_[0]);
    }
    /// Of a blob.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept
        requires(!traits::in_place)
    {
        return std::as_bytes(std::span(stored_));
    }
    /// The value, or, where that is the copy, a reference to it.
    [[nodiscard]] decltype(auto) view() const {
        if constexpr (traits::in_place) return stored_->get();  // NOLINT(bugprone-unchecked-optional-access)
        else if constexpr (is_kept) return (stored_);
        else return codec<T>::decode(stored_);
    }
    /// The value; what is left is no copy of anything. Does not throw where decoding is copying.
    [[nodiscard]] T take() {
        if constexpr (is_kept) return std::move(stored_);
        else return view();
    }

private:
    read_result copy_blob(const segment& s, const std::byte* from) {
        alignas(8) blob_slot slot;
        copy_out_fixed<sizeof slot>(&slot, from);
        std::uint64_t count = 0;
        const std::byte* at = find_blob(s, slot, count);
        constexpr std::size_t item_bytes = sizeof(stored_[0]);
        if (at == nullptr || count % item_bytes != 0) return read_result::torn;
        if constexpr (stored_as_is<T>)
            if (count != sizeof(T)) return read_result::torn;
        stored_.resize(count / item_bytes);
        copy_out(stored_.data(), at, count);
        return read_result::done;
    }

    std::conditional_t<traits::in_place, std::optional<in_place_copy<T>>,
                       std::conditional_t<is_kept, T, std::vector<std::byte>>>
        stored_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
