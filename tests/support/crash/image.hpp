// image.hpp - the bytes of a segment at one instant: what a death at that instant would leave.
//
// Only what is backed counts: from the header to the end of the page map, and the data pages below the committed limit.
// Between the two lies a hole of the file.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn_test {

namespace stored = cairn::detail;

struct byte_range {
    std::uint64_t begin;
    std::uint64_t end;
};

/// The two backed ranges of the segment that starts at `base`.
std::array<byte_range, 2> backed_ranges(const std::byte* base) noexcept;

class segment_image {
public:
    segment_image() = default;
    /// Copies the segment mapped at `base`.
    explicit segment_image(const std::byte* base);

    [[nodiscard]] std::byte* base() noexcept { return bytes_.data(); }
    [[nodiscard]] const std::byte* base() const noexcept { return bytes_.data(); }
    [[nodiscard]] std::uint64_t max_bytes() const noexcept { return bytes_.size(); }

    [[nodiscard]] const stored::segment_header& header() const noexcept;
    [[nodiscard]] const stored::segment_control& control() const noexcept;
    [[nodiscard]] std::array<byte_range, 2> backed() const noexcept { return backed_ranges(base()); }

    /// Offsets of all control blocks of roots that the chain of slots leads to.
    [[nodiscard]] std::vector<std::uint64_t> slot_offsets() const;

    /// Does what the kernel does when the thread dies: every lock it holds says so. Returns how many it held.
    int mark_dead(std::uint32_t thread);

private:
    std::vector<std::byte> bytes_;  // max_bytes of them; what is not backed is zero
};

/// "control.log_bytes", "slot 2 +64", "page map [17]": for people who read a failure.
std::string describe_offset(const segment_image& image, std::uint64_t offset);

/// Tells images apart by what a recovery can depend on. Left out: statistics, clocks, who is attached, the numbers that
/// only grow (of versions their parity counts), and bytes of undo logs beyond what counts.
class image_identity {
public:
    explicit image_identity(const segment_image& image);

    /// These bytes of the image have changed.
    void changed(std::uint64_t offset, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t of(const segment_image& image);
    /// As of the last of(): without the data pages, but for those with control blocks. Images that differ only in what is
    /// written to pages have it in common.
    [[nodiscard]] std::uint64_t of_structure() const noexcept { return structure_; }

private:
    void look_for_slots(const segment_image& image);
    [[nodiscard]] std::uint64_t hash_unit(const segment_image& image, std::size_t unit) const;

    std::vector<std::uint64_t> hashes_;  // by page; the control block's at its first page
    std::vector<std::size_t> dirty_;
    std::vector<bool> is_dirty_;
    std::vector<bool> has_slots_;  // pages in which control blocks lie
    std::uint64_t first_slot_ = ~std::uint64_t{0};
    std::size_t first_data_page_;
    std::uint64_t sum_ = 0;
    std::uint64_t structure_ = 0;
};

}  // namespace cairn_test
