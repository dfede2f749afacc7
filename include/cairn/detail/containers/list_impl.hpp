// list_impl.hpp - bodies of list.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstring>
#include <iterator>
#include <limits>

#include <cairn/detail/base/standard.hpp>
#include <cairn/list.hpp>

namespace cairn::inline CAIRN_ABI {

// ---- adding --------------------------------------------------------------------------------------------------------

template <typename T>
CAIRN_INLINE void list<T>::push_back(parameter value) const try {
    this->require_writable();
    if constexpr (traits::in_place) {
        if (detail::this_thread.open != nullptr) [[unlikely]]
            return push_back_inside(value);
        detail::list_node& n = node_in(in());
        for (;;) {
            {
                detail::single_store writer(in(), slot(), generation());
                const std::uint64_t size = n.size;
                if (size != n.limit) [[likely]] {
                    // Beyond the end, where nobody looks; the store of the size makes it an element.
                    std::byte* to = detail::find_tail(in(), n, size, traits::stride);
                    if (to == nullptr) [[unlikely]]
                        detail::throw_damaged(in(), slot());
                    detail::write_in_place(to, value);
                    writer.publish(n.size, size + 1);
                    return;
                }
            }
            make_room();
        }
    } else {
        const detail::encoded<T> bytes(value);
        detail::root_transaction tx(in(), slot(), generation());
        detail::list_node& n = node_in(in());
        tx.begin_change();  // the block and the size become the list's together
        for (detail::moving_work work;;) {
            try {
                auto& to = *reinterpret_cast<detail::blob_slot*>(detail::next_element(tx, n, traits::stride));
                detail::write_blob(tx, to, bytes.bytes());
                tx.store(n.size, n.size + 1);
                break;
            } catch (const segment_full&) {
                detail::gather_free_pages(tx, n, 1, bytes.bytes().size(), work);
            }
        }
        tx.commit();
    }
}
CAIRN_THROWS_UNLOCKED

template <typename T>
CAIRN_COLD void list<T>::make_room() const try {
    // A transaction of its own: a tail chunk without elements changes nothing for anybody.
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    if (n.size == n.limit) detail::extend_tail(tx, n);
    tx.commit();
}
CAIRN_THROWS_UNLOCKED

// In a transaction of the user's: all is logged.
template <typename T>
CAIRN_COLD void list<T>::push_back_inside(parameter value) const try {
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    std::byte* to = detail::next_element(tx, n, traits::stride);
    detail::write_in_place(to, value);
    tx.store(n.size, n.size + 1);
    tx.commit();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
template <std::ranges::input_range Range>
    requires std::convertible_to<std::ranges::range_reference_t<Range>, T>
void list<T>::extend(Range&& range) const {
    this->require_writable();
    if constexpr (std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
                  std::is_same_v<std::ranges::range_value_t<Range>, T>) {
        append_all(std::span<const T>(std::ranges::data(range), std::ranges::size(range)));
    } else {
        // The range is user code: it runs before the lock is taken.
        std::vector<T> values;
        if constexpr (std::ranges::sized_range<Range>) values.reserve(std::ranges::size(range));
        for (auto&& value : range) values.push_back(static_cast<T>(std::forward<decltype(value)>(value)));
        append_all(values);
    }
}

template <typename T>
template <typename Values>
void list<T>::append_all(const Values& values) const try {
    const detail::encoded_range<T> encoded(values);
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    if constexpr (traits::in_place) {
        encoded.append_to(tx, n);
    } else {
        std::vector<detail::blob_slot> blobs = encoded.empty_blobs();
        encoded.require_room(tx);
        for (detail::moving_work work;;) {
            try {
                encoded.append_blobs_to(tx, n, blobs);
                break;
            } catch (const segment_full&) {
                detail::gather_free_pages(tx, n, encoded.ends().size(), encoded.ends(), work);
            }
        }
    }
    tx.commit();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::insert(size_type index, parameter value) const try {
    this->require_writable();
    const detail::encoded<T> bytes(value);
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    if (index > n.size) throw_index("insert into", index, n.size);
    if constexpr (traits::in_place) {
        detail::write_in_place(detail::prepare_insert(tx, n), value);
    } else {
        for (detail::moving_work work;;) {
            try {
                auto& to = *reinterpret_cast<detail::blob_slot*>(detail::prepare_insert(tx, n));
                detail::write_blob(tx, to, bytes.bytes());
                break;
            } catch (const segment_full&) {
                detail::gather_free_pages(tx, n, 1, bytes.bytes().size(), work);
            }
        }
    }
    detail::insert_prepared(tx, n, index);
}
CAIRN_THROWS_UNLOCKED

// ---- taking away ---------------------------------------------------------------------------------------------------

template <typename T>
T list<T>::pop() const try {
    this->require_writable();
    detail::element_to_take<T> element;
    for (;; element.decode_outside()) {
        detail::root_transaction tx(in(), slot(), generation());
        detail::list_node& n = sound_node(tx);
        if (n.size == 0) throw_index("pop from", 0, 0);
        if (!element.prepare(tx, detail::element_at(tx, n, n.size - 1))) continue;
        detail::drop_last(tx, n);
        tx.commit();
        break;
    }
    return element.take();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
T list<T>::pop(size_type index) const try {
    this->require_writable();
    detail::element_to_take<T> element;
    for (;; element.decode_outside()) {
        detail::root_transaction tx(in(), slot(), generation());
        detail::list_node& n = checked(tx, "pop from", index);
        if (!element.prepare(tx, detail::element_at(tx, n, index))) continue;
        detail::erase_elements(tx, n, index, index + 1);
        break;
    }
    return element.take();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::erase(size_type index) const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::erase_elements(tx, checked(tx, "erase from", index), index, index + 1);
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::erase(size_type first, size_type last) const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    if (first > last)
        throw_argument("erase from", "first is " + std::to_string(first) + ", expected at most last, " +
                                         std::to_string(last));
    if (last > n.size) throw_index("erase from", last, n.size);
    detail::erase_elements(tx, n, first, last);
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::remove(parameter value) const
    requires detail::equatable<T>
try {
    this->require_writable();
    // Found without the lock, then erased if it and all before it are what they were.
    for (int round = 0; round < rounds_without_lock; ++round) {
        raw_copy raw;
        detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
            return copy_raw(s, 0, std::numeric_limits<std::uint64_t>::max(), raw);
        });
        std::uint64_t found = 0;
        while (found != raw.count && !detail::element_equality()(raw.view(found), value)) ++found;
        if (found == raw.count) throw_argument("remove from", "the value is not in the list");
        detail::root_transaction tx(in(), slot(), generation());
        detail::list_node& n = sound_node(tx);
        bool is_same = detail::load_word(slot().version) == raw.version;
        if (!is_same && found < n.size) {
            is_same = true;
            for_each_changed(tx, n, raw, found + 1,
                             [&](std::uint64_t, const std::byte*) { is_same = false; });
        }
        if (!is_same) continue;
        detail::erase_elements(tx, n, found, found + 1);
        return;
    }
    // Beside writers that leave it no time: under the lock, so that it ends.
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    for (std::uint64_t i = 0; i < n.size; ++i) {
        const T each = decode_element(tx.in(), detail::element_at(tx, n, i));
        const bool is_it = detail::element_equality()(each, value);
        tx.require_own();
        if (is_it) return detail::erase_elements(tx, n, i, i + 1);
    }
    throw_argument("remove from", "the value is not in the list");
}
CAIRN_THROWS_UNLOCKED

// Under the lock: calls fn(index, slot) for each of the first `count` elements whose bytes are not those of the copy, or that it
// has not.
template <typename T>
template <typename Fn>
void list<T>::for_each_changed(detail::root_transaction& tx, detail::list_node& n, const raw_copy& raw,
                               std::uint64_t count, Fn fn) {
    const detail::chunk_links links = links_in(n);
    for (std::uint64_t i = 0; i < count;) {
        const auto at = links.geometry.locate(i);
        const std::uint64_t run =
            std::min(count - i, links.geometry.chunk_elements(at.superblock) - at.within);
        const std::byte* slot = detail::find_run(tx.in(), links, i, run);
        if (slot == nullptr) detail::throw_damaged(tx.in(), tx.slot());
        for (const std::uint64_t end = i + run; i != end; ++i, slot += traits::stride) {
            if (i < raw.count) {
                if constexpr (traits::in_place) {
                    if (std::memcmp(slot, raw.in_place.data() + i * traits::stride, sizeof(T)) == 0) continue;
                } else {
                    detail::blob_slot blob{};
                    detail::copy_out_fixed<sizeof blob>(&blob, slot);
                    std::uint64_t bytes = 0;
                    const std::byte* stored = detail::find_blob(tx.in(), blob, bytes);
                    if (stored == nullptr) detail::throw_damaged(tx.in(), tx.slot());
                    if (std::ranges::equal(raw.blobs[i].bytes(), std::span(stored, bytes))) continue;
                }
            }
            fn(i, slot);
        }
    }
}

// Under the lock: makes the copy one of what is there now; returns which elements are others.
template <typename T>
std::vector<std::uint64_t> list<T>::refresh(detail::root_transaction& tx, detail::list_node& n,
                                            raw_copy& raw) {
    std::vector<std::uint64_t> changed;
    const std::uint64_t size = n.size;
    if constexpr (traits::in_place) raw.in_place.resize(size * traits::stride);
    else raw.blobs.resize(size);
    raw.count = std::min(raw.count, size);
    for_each_changed(tx, n, raw, size, [&](std::uint64_t i, const std::byte* slot) {
        changed.push_back(i);
        if constexpr (traits::in_place) {
            detail::copy_out_fixed<traits::stride>(raw.in_place.data() + i * traits::stride, slot);
        } else if (raw.blobs[i].copy(tx.in(), slot) == detail::read_result::torn) {
            detail::throw_damaged(tx.in(), tx.slot());
        }
    });
    raw.count = size;
    raw.version = detail::load_word(tx.slot().version);
    return changed;
}

template <typename T>
template <typename Predicate>
typename list<T>::size_type list<T>::erase_where(const Predicate& matches) const try {
    this->require_writable();
    const detail::segment_ptr keep = this->hold();  // the predicate may let go of the last handle
    detail::segment& s = in();
    detail::root_slot& root = slot();
    const std::uint64_t mine = generation();
    const detail::segment_offset at = node();
    raw_copy raw;
    detail::read_root(s, root, mine, [&](detail::segment& seen) {
        return copy_raw(seen, 0, std::numeric_limits<std::uint64_t>::max(), raw);
    });
    detail::marked_elements marked;
    marked.resize(raw.count);
    for (std::uint64_t i = 0; i < raw.count; ++i) marked.mark(i, matches(raw.view(i)));
    for (int round = 1; marked.count() != 0 || round > 1; ++round) {
        std::vector<std::uint64_t> changed;
        {
            detail::root_transaction tx(s, root, mine);
            detail::list_node& n = detail::sound_node(tx, at, traits::stride, traits::form);
            if (detail::load_word(root.version) != raw.version) {
                changed = refresh(tx, n, raw);
                marked.resize(raw.count);
                // Beside writers that leave it no time what has changed is judged under the lock, so that it ends.
                for (; round > rounds_without_lock && !changed.empty(); changed.pop_back()) {
                    marked.mark(changed.back(), matches(raw.view(changed.back())));
                    tx.require_own();
                }
            }
            if (changed.empty()) {
                marked.erase_from(tx, n);
                return marked.count();
            }
        }
        for (const std::uint64_t i : changed) marked.mark(i, matches(raw.view(i)));
    }
    return 0;
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::clear() const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::clear_elements(tx, sound_node(tx));
}
CAIRN_THROWS_UNLOCKED

// ---- reading -------------------------------------------------------------------------------------------------------

template <typename T>
CAIRN_INLINE T list<T>::at(size_type index) const {
    if constexpr (traits::in_place) {
        detail::segment& s = in();
        const detail::quick_look look(s, slot(), generation());
        if (look.may_look()) [[likely]] {
            detail::list_node& n = node_in(s);
            // acquire: pairs with the release of an append, which moves no version; the element is there
            if (index < __atomic_load_n(&n.size, __ATOMIC_ACQUIRE)) [[likely]] {
                const std::byte* from =
                    detail::find_element(s, links_in(n), index, detail::segment_bounds::without_lock(s));
                if (from != nullptr) [[likely]] {
                    const detail::in_place_copy<T> copy(from);
                    if (look.is_whole()) [[likely]]
                        return copy.get();
                }
            }
        }
    }
    return at_slowly(index);
}

template <typename T>
CAIRN_NOINLINE T list<T>::at_slowly(size_type index) const {
    size_type size = 0;
    std::optional<T> value = try_at(index, size);
    if (!value) throw_index("get from", index, size);
    return *std::move(value);
}

template <typename T>
std::optional<T> list<T>::try_at(size_type index, size_type& size) const {
    detail::element_copy<T> copy;
    std::uint64_t seen = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        detail::list_node& n = node_in(s);
        seen = __atomic_load_n(&n.size, __ATOMIC_ACQUIRE);  // acquire: as in at()
        if (index >= seen) return detail::read_result::done;
        const std::byte* from = detail::find_element(s, links_in(n), index);
        if (from == nullptr) return detail::read_result::torn;
        return copy.copy(s, from);
    });
    size = seen;
    if (index >= seen) return std::nullopt;
    return copy.take();
}

template <typename T>
T list<T>::back() const {
    detail::element_copy<T> copy;
    std::uint64_t size = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        detail::list_node& n = node_in(s);
        size = __atomic_load_n(&n.size, __ATOMIC_ACQUIRE);  // acquire: as in at()
        if (size == 0) return detail::read_result::done;
        const std::byte* from = detail::find_element(s, links_in(n), size - 1);
        return from == nullptr ? detail::read_result::torn : copy.copy(s, from);
    });
    if (size == 0) throw_index("get from", 0, 0);
    return copy.take();
}

template <typename T>
CAIRN_INLINE typename list<T>::size_type list<T>::size() const {
    const detail::quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        // acquire: what was appended is there
        const std::uint64_t size = __atomic_load_n(&node_in(in()).size, __ATOMIC_ACQUIRE);
        if (look.is_whole()) [[likely]]
            return size;
    }
    std::uint64_t size = 0;
    detail::read_root(in(), slot(), generation(), [&](detail::segment& s) {
        size = __atomic_load_n(&node_in(s).size, __ATOMIC_ACQUIRE);
        return detail::read_result::done;
    });
    return size;
}

template <typename T>
detail::read_result list<T>::copy_raw(detail::segment& s, std::uint64_t first, std::uint64_t last,
                                      raw_copy& to) const {
    detail::list_node& n = node_in(s);
    const std::uint64_t size = std::min(__atomic_load_n(&n.size, __ATOMIC_ACQUIRE), last);
    first = std::min(first, size);
    to.version = detail::load_word(slot().version);
    to.count = size - first;
    to.in_place.clear();
    to.blobs.clear();
    // Torn or damaged: no list has more elements than its segment has bytes.
    if (to.count > s.committed_bytes() / traits::stride) return detail::read_result::torn;
    to.in_place.resize(to.count * traits::stride);
    bool torn = false;
    const detail::chunk_links links{&n.directory, n.chunks, detail::list_geometry(traits::stride)};
    detail::copy_elements_out(s, links, first, to.count, to.in_place.data(), torn);
    if (torn) return detail::read_result::torn;
    if constexpr (!traits::in_place) {
        to.blobs.resize(to.count);
        std::uint64_t left = s.committed_bytes();  // blobs do not overlap
        for (std::uint64_t i = 0; i < to.count; ++i) {
            if (to.blobs[i].copy(s, to.in_place.data() + i * traits::stride) == detail::read_result::torn)
                return detail::read_result::torn;
            if (to.blobs[i].byte_count() > left) return detail::read_result::torn;
            left -= to.blobs[i].byte_count();
        }
    }
    return detail::read_result::done;
}

template <typename T>
std::vector<T> list<T>::decode_raw(raw_copy& raw) {
    std::vector<T> values;
    values.reserve(raw.count);
    for (std::uint64_t i = 0; i < raw.count; ++i) {
        if constexpr (traits::in_place)
            values.push_back(
                codec<T>::decode(std::span(raw.in_place).subspan(i * traits::stride, sizeof(T))));
        else values.push_back(raw.blobs[i].take());
    }
    return values;
}

template <typename T>
std::vector<T> list<T>::snapshot() const {
    return slice(0, std::numeric_limits<std::uint64_t>::max());
}

template <typename T>
std::vector<T> list<T>::read_in_pieces(size_type first, size_type last) const {
    std::vector<T> all;
    raw_copy piece;
    for (const size_type end = std::min(last, size()); first < end; first += piece.count) {
        const size_type behind = std::min<size_type>(end, first + detail::elements_in_piece);
        detail::read_root(in(), slot(), generation(),
                          [&](detail::segment& s) { return copy_raw(s, first, behind, piece); });
        if (piece.count == 0) break;  // it has shrunk
        std::vector<T> values = decode_raw(piece);
        all.insert(all.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
    }
    return all;
}

template <typename T>
std::vector<T> list<T>::slice(size_type first, size_type last, size_type step) const {
    if (step == 0) throw_argument("slice of", "step is 0, expected 1 or more");
    raw_copy raw;
    const bool is_whole = detail::read_root_whole(
        in(), slot(), generation(), [&](detail::segment& s) { return copy_raw(s, first, last, raw); });
    std::vector<T> all = is_whole ? decode_raw(raw) : read_in_pieces(first, last);
    if (step == 1) return all;
    std::vector<T> some;
    for (std::size_t i = 0; i < all.size(); i += step) {
        some.push_back(std::move(all[i]));
        if (step >= all.size() - i) break;
    }
    return some;
}

template <typename T>
typename list<T>::size_type list<T>::index(parameter value) const
    requires detail::equatable<T>
{
    const std::vector<T> values = snapshot();
    const auto found = detail::find_equal(values, value);
    if (found == values.end()) throw_argument("index in", "the value is not in the list");
    return static_cast<size_type>(found - values.begin());
}

template <typename T>
typename list<T>::size_type list<T>::count(parameter value) const
    requires detail::equatable<T>
{
    const std::vector<T> values = snapshot();
    return detail::count_equal(values, value);
}

template <typename T>
bool list<T>::contains(parameter value) const
    requires detail::equatable<T>
{
    const std::vector<T> values = snapshot();
    return detail::find_equal(values, value) != values.end();
}

// ---- changing ------------------------------------------------------------------------------------------------------

template <typename T>
void list<T>::store_element(detail::root_transaction& tx, detail::list_node& n, std::byte* to,
                            const detail::encoded<T>& value) {
    tx.begin_change();
    if constexpr (traits::in_place) {
        static_cast<void>(n);
        alignas(8) std::array<std::byte, traits::stride> padded{};
        std::memcpy(padded.data(), value.bytes().data(), sizeof(T));
        tx.log(to, traits::stride);
        detail::copy_in_fixed<traits::stride>(to, padded.data());
    } else {
        auto& slot = *reinterpret_cast<detail::blob_slot*>(to);
        for (detail::moving_work work;;) {
            try {
                const detail::blob_slot old = slot;
                tx.log(&slot, sizeof slot);
                detail::write_blob(tx, slot, value.bytes());
                detail::free_blob(tx, old);
                break;
            } catch (const segment_full&) {
                detail::gather_free_pages(tx, n, 0, value.bytes().size(), work);
            }
        }
    }
    tx.commit();
}

template <typename T>
CAIRN_INLINE void list<T>::set(size_type index, parameter value) const {
    this->require_writable();
    if constexpr (traits::is_word) {
        if (detail::this_thread.open != nullptr) [[unlikely]]
            return set_logged(index, value);  // inside a transaction of the user's
        detail::single_store writer(in(), slot(), generation());
        detail::list_node& n = node_in(in());
        if (index >= n.size) [[unlikely]]
            throw_index("set in", index, n.size);
        std::byte* element = detail::find_element(in(), links_in(n), index);
        if (element == nullptr) [[unlikely]]
            detail::throw_damaged(in(), slot());
        writer.template overwrite<sizeof(T)>(element, &value);
    } else {
        set_logged(index, value);
    }
}

template <typename T>
void list<T>::set_logged(size_type index, parameter value) const try {
    const detail::encoded<T> bytes(value);
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = checked(tx, "set in", index);
    store_element(tx, n, detail::element_at(tx, n, index), bytes);
}
CAIRN_THROWS_UNLOCKED

template <typename T>
T list<T>::decode_element(const detail::segment& s, const std::byte* from) {
    detail::element_copy<T> copy;
    if (copy.copy(s, from) == detail::read_result::torn)
        throw corrupt_segment("an element of a list leads outside its segment");
    return copy.take();
}

template <typename T>
template <typename Fn>
    requires std::invocable<Fn, T&>
void list<T>::update(size_type index, Fn&& fn) const try {
    this->require_writable();
    const detail::segment_ptr keep = this->hold();  // fn may let go of the last handle
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = checked(tx, "update in", index);
    std::byte* element = detail::element_at(tx, n, index);
    T value = decode_element(in(), element);
    if constexpr (std::is_convertible_v<std::invoke_result_t<Fn, T&>, T> &&
                  !std::is_void_v<std::invoke_result_t<Fn, T&>>) {
        value = detail::call_with(std::forward<Fn>(fn), value);
    } else {
        detail::call_with(std::forward<Fn>(fn), value);
    }
    const detail::encoded<T> bytes(value);
    store_element(tx, n, element, bytes);
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::reverse() const try {
    this->require_writable();
    detail::root_transaction tx(in(), slot(), generation());
    detail::reverse_elements(tx, sound_node(tx));
}
CAIRN_THROWS_UNLOCKED

template <typename T>
std::vector<T> list<T>::decode_all(detail::root_transaction& tx, detail::list_node& n) {
    std::vector<T> values;
    values.reserve(n.size);
    std::uint64_t left = tx.in().committed_bytes();  // blobs do not overlap
    for (std::uint64_t i = 0; i < n.size; ++i) {
        const std::byte* from = detail::element_at(tx, n, i);
        if constexpr (!traits::in_place) {
            detail::blob_slot slot{};
            detail::copy_out_fixed<sizeof slot>(&slot, from);
            std::uint64_t bytes = 0;
            if (detail::find_blob(tx.in(), slot, bytes) == nullptr || bytes > left)
                detail::throw_damaged(tx.in(), tx.slot());
            left -= bytes;
        }
        values.push_back(decode_element(tx.in(), from));
    }
    return values;
}

template <typename T>
template <typename Compare>
void list<T>::sort(Compare compare) const try {
    this->require_writable();
    const detail::segment_ptr keep = this->hold();
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    if (n.size < 2) return;
    const std::vector<T> values = decode_all(tx, n);
    std::vector<std::size_t> order(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return compare(values[a], values[b]); });
    // The elements as they are stored, blobs by their slots: only places change.
    std::vector<std::byte> stored(n.size * traits::stride);
    std::vector<std::byte> sorted(stored.size());
    bool torn = false;
    // Not in() and slot(): compare may have destroyed this handle.
    detail::copy_elements_out(tx.in(), detail::links_of(n), 0, n.size, stored.data(), torn);
    if (torn) detail::throw_damaged(tx.in(), tx.slot());
    for (std::size_t i = 0; i < order.size(); ++i)
        std::memcpy(sorted.data() + i * traits::stride, stored.data() + order[i] * traits::stride,
                    traits::stride);
    detail::rewrite_elements(tx, n, sorted.data());
    tx.commit();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
void list<T>::reserve(size_type count) const try {
    this->require_writable();
    if (count > detail::max_segment_bytes)
        throw_argument("reserve in", "more elements than any segment has bytes");
    detail::root_transaction tx(in(), slot(), generation());
    detail::reserve_elements(tx, sound_node(tx), count);
    tx.commit();
}
CAIRN_THROWS_UNLOCKED

template <typename T>
template <typename Fn>
    requires std::invocable<Fn, const T&>
void list<T>::for_each(Fn fn) const try {
    if (!in().is_writable()) {  // no lock to hold: a snapshot is as good
        const std::vector<T> all = snapshot();
        for (const auto& value : all) detail::call_with(fn, value);  // of bool it is no reference
        return;
    }
    const detail::segment_ptr keep = this->hold();
    detail::root_transaction tx(in(), slot(), generation());
    detail::list_node& n = sound_node(tx);
    for (std::uint64_t i = 0; i < n.size; ++i) {
        const T value = decode_element(tx.in(), detail::element_at(tx, n, i));  // fn may destroy this handle
        detail::call_with(fn, value);
        tx.require_own();
    }
}
CAIRN_THROWS_UNLOCKED

}  // namespace cairn::inline CAIRN_ABI
