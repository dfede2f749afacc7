// object_handle.hpp - what every handle is: a shared hold on the mapping, and which root is meant.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI {

class manager;

namespace detail {

/// A root in a segment: what the directory gives out.
struct root_reference {
    segment_ptr in;
    root_slot* slot = nullptr;
    std::uint64_t generation = 0;
    segment_offset node = 0;
    std::vector<root_reference> parts = {};  // of an object that is several roots
};

class CAIRN_API object_handle {
public:
    /// The object's name; a generated one when none was given. Throws object_gone.
    [[nodiscard]] std::string name() const;
    /// A manager of the segment that the object lives in.
    [[nodiscard]] cairn::manager manager() const;

protected:
    explicit object_handle(root_reference root) noexcept
        : segment_(std::move(root.in)), slot_(root.slot), generation_(root.generation), node_(root.node) {}

    [[nodiscard]] CAIRN_INLINE segment& in() const noexcept { return *segment_; }
    [[nodiscard]] CAIRN_INLINE root_slot& slot() const noexcept { return *slot_; }
    [[nodiscard]] CAIRN_INLINE std::uint64_t generation() const noexcept { return generation_; }
    [[nodiscard]] CAIRN_INLINE segment_offset node() const noexcept { return node_; }
    /// A hold on the mapping for operations that run user code, which may let go of the last handle.
    [[nodiscard]] segment_ptr hold() const noexcept { return segment_; }
    /// Throws permission_denied where the segment is open for reading only.
    CAIRN_INLINE void require_writable() const {
        if (!segment_->is_writable()) [[unlikely]]
            throw_read_only();
    }
    [[noreturn]] CAIRN_COLD void throw_index(const char* operation, std::uint64_t index,
                                             std::uint64_t size) const;
    [[noreturn]] CAIRN_COLD void throw_key(const char* operation, const std::string& key) const;
    [[noreturn]] CAIRN_COLD void throw_argument(const char* operation, const std::string& what) const;
    [[noreturn]] CAIRN_COLD void throw_read_only() const;
    [[nodiscard]] bool same_object(const object_handle& other) const noexcept {
        return slot_ == other.slot_ && generation_ == other.generation_ && node_ == other.node_;
    }

private:
    friend class cairn::manager;
    friend class pair_transaction;

    segment_ptr segment_;
    root_slot* slot_;
    std::uint64_t generation_;
    segment_offset node_;
};

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
