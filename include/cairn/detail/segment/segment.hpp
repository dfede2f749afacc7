// segment.hpp - one attached segment: a mapping, shared by all handles and managers of this process.
//
// Stored        segment_layout.hpp.
// Process-local one `segment` object per segment and process (found by device and inode), owned together by segment_ptr;
//               the last one gone detaches and unmaps. Forked children inherit it, and are participants of their own.
// Safety        all members are thread-safe; none is signal-safe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <cairn/detail/os/thread_state.hpp>
#include <cairn/detail/segment/segment_layout.hpp>
#include <cairn/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

struct segment_internals;  // descriptor, mapping, facts of the file: src/segment/internals.hpp

class CAIRN_API segment {
public:
    segment(const segment&) = delete;
    segment& operator=(const segment&) = delete;

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    /// A copy, as it was checked: the one in the mapping is anybody's to write.
    [[nodiscard]] const segment_header& header() const noexcept { return header_; }
    [[nodiscard]] segment_control& control() const noexcept { return *control_; }
    [[nodiscard]] bool is_writable() const noexcept { return writable_; }
    [[nodiscard]] bool is_anonymous() const noexcept { return anonymous_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// End of what is backed: nothing at or beyond it may be touched. Readers without a lock go no further than shown_bytes().
    [[nodiscard]] CAIRN_INLINE std::uint64_t committed_bytes() const noexcept {
        return load_word(control_->committed_bytes);
    }
    /// End of what readers without a lock may look at. What lies between the two is free, or was taken by transactions that are not
    /// committed: it may go back to the system.
    [[nodiscard]] CAIRN_INLINE std::uint64_t shown_bytes() const noexcept {
        return load_word(control_->shown_bytes);
    }
    /// End of what this thread may look at. Inside an operation it reads what it has the lock of, and nothing else, so that no offset is
    /// torn; and has to follow those to pages that it has taken itself.
    [[nodiscard]] CAIRN_INLINE std::uint64_t visible_bytes() const noexcept {
        if (this_thread.open != nullptr) [[unlikely]] {
            asm volatile("");  // a branch: choosing without one is four instructions more in each read
            return load_word(control_->committed_bytes);
        }
        return load_word(control_->shown_bytes);
    }

    template <typename T>
    [[nodiscard]] CAIRN_INLINE T* at(segment_offset offset) const noexcept {
        return reinterpret_cast<T*>(base_ + offset);
    }
    /// The bytes at `offset`, or null when they are not inside the part that this thread may look at: what is read from a segment is
    /// input.
    template <typename T>
    [[nodiscard]] CAIRN_INLINE T* find(segment_offset offset,
                                       std::uint64_t bytes = sizeof(T)) const noexcept {
        return find_below<T>(visible_bytes(), offset, bytes);
    }
    /// The same for a thread that is in no operation, which need not be asked.
    template <typename T>
    [[nodiscard]] CAIRN_INLINE T* find_shown(segment_offset offset) const noexcept {
        return find_below<T>(shown_bytes(), offset, sizeof(T));
    }
    [[nodiscard]] CAIRN_INLINE segment_offset offset_of(const void* address) const noexcept {
        return static_cast<segment_offset>(static_cast<const std::byte*>(address) - base_);
    }

    [[nodiscard]] segment_offset page_offset(std::uint32_t page) const noexcept {
        return data_offset_ + page * page_bytes;
    }
    [[nodiscard]] std::uint32_t page_of(segment_offset offset) const noexcept {
        return static_cast<std::uint32_t>((offset - data_offset_) / page_bytes);
    }
    [[nodiscard]] std::uint32_t committed_pages() const noexcept {
        return static_cast<std::uint32_t>((committed_bytes() - data_offset_) / page_bytes);
    }
    [[nodiscard]] page_entry& page(std::uint32_t number) const noexcept { return map_[number]; }
    [[nodiscard]] root_slot& slot(std::uint32_t number) const noexcept {
        return *reinterpret_cast<root_slot*>(base_ + data_offset_ + std::uint64_t{number} * root_slot_bytes);
    }
    [[nodiscard]] std::uint32_t slot_number(const root_slot& slot) const noexcept {
        return static_cast<std::uint32_t>((offset_of(&slot) - data_offset_) / root_slot_bytes);
    }
    [[nodiscard]] std::uint64_t data_offset() const noexcept { return data_offset_; }

    /// This process's number among the participants; 0 in a read-only process.
    [[nodiscard]] std::uint64_t participant_number() const noexcept {
        return participant_of(load_word(own_participant_));
    }

    /// What the calling thread locks with. It has gone through require_usable_thread().
    [[nodiscard]] CAIRN_INLINE thread_token own_token() const noexcept {
        return load_word(own_participant_) | this_thread.thread_id;
    }

    [[nodiscard]] segment_internals& internals() const noexcept { return *internals_; }

    // Reference counting, by segment_ptr.
    void add_reference() noexcept { __atomic_fetch_add(&references_, 1, __ATOMIC_RELAXED); }
    [[nodiscard]] bool try_add_reference() noexcept;
    void drop_reference() noexcept;

private:
    friend struct segment_access;  // src/segment: builds, opens, closes
    segment();
    ~segment();
    template <typename T>
    [[nodiscard]] CAIRN_INLINE T* find_below(std::uint64_t end, segment_offset offset,
                                             std::uint64_t bytes) const noexcept {
        if (offset < data_offset_ || bytes > end || offset > end - bytes || offset % 8 != 0) [[unlikely]]
            return nullptr;
        return at<T>(offset);
    }

    std::byte* base_ = nullptr;
    segment_control* control_ = nullptr;
    page_entry* map_ = nullptr;
    std::uint64_t data_offset_ = 0;
    bool writable_ = true;
    bool anonymous_ = false;
    // Both atomic; not of std::atomic, whose header alone is a tenth of what list.hpp takes to compile.
    std::uint64_t references_ = 1;
    thread_token own_participant_ = 0;  // of no thread
    std::string name_;
    segment_internals* internals_ = nullptr;  // owned
    segment_header header_{};
};

/// The part of a segment that offsets may lead to for this thread, looked up once for several of them.
class segment_bounds {
public:
    CAIRN_INLINE explicit segment_bounds(const segment& s) noexcept : segment_bounds(s, s.visible_bytes()) {}
    /// For a thread that is inside an operation, which need not be asked.
    [[nodiscard]] CAIRN_INLINE static segment_bounds under_lock(const segment& s) noexcept {
        return {s, s.committed_bytes()};
    }
    /// For one that is in none.
    [[nodiscard]] CAIRN_INLINE static segment_bounds without_lock(const segment& s) noexcept {
        return {s, s.shown_bytes()};
    }
    /// Up to 256 bytes at `offset`; no segment has fewer than that.
    [[nodiscard]] CAIRN_INLINE bool has(segment_offset offset, std::uint64_t bytes) const noexcept {
        return offset - first_ <= span_ - bytes;
    }
    /// Any number of bytes.
    [[nodiscard]] CAIRN_INLINE bool has_run(segment_offset offset, std::uint64_t bytes) const noexcept {
        return bytes <= span_ && has(offset, bytes);
    }

private:
    CAIRN_INLINE segment_bounds(const segment& s, std::uint64_t end) noexcept
        : first_(s.data_offset()), span_(end - s.data_offset()) {}

    std::uint64_t first_;
    std::uint64_t span_;
};

/// Shared owner of an attached segment.
class segment_ptr {
public:
    segment_ptr() noexcept = default;
    /// Takes over one reference.
    explicit segment_ptr(segment* adopted) noexcept : segment_(adopted) {}
    segment_ptr(const segment_ptr& other) noexcept : segment_(other.segment_) {
        if (segment_ != nullptr) segment_->add_reference();
    }
    segment_ptr(segment_ptr&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
    segment_ptr& operator=(segment_ptr other) noexcept {
        std::swap(segment_, other.segment_);
        return *this;
    }
    ~segment_ptr() {
        if (segment_ != nullptr) segment_->drop_reference();
    }

    [[nodiscard]] CAIRN_INLINE segment* get() const noexcept { return segment_; }
    CAIRN_INLINE segment& operator*() const noexcept { return *segment_; }
    CAIRN_INLINE segment* operator->() const noexcept { return segment_; }
    explicit operator bool() const noexcept { return segment_ != nullptr; }

private:
    segment* segment_ = nullptr;
};

/// "list 'results' in segment 'jobs'": how messages name an object.
CAIRN_API std::string describe_object(const segment& in, const root_slot& slot);
/// "segment 'jobs'", or "anonymous segment 'x'".
CAIRN_API std::string describe_segment(const segment& s);

CAIRN_API const char* kind_name(object_kind kind) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
