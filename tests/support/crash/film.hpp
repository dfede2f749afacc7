// film.hpp - all the images that a segment went through, one frame for each that differs from the one before.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "support/crash/image.hpp"

namespace cairn_test {

/// Bytes that one instruction changed.
struct patch {
    std::uint32_t offset;
    std::uint32_t bytes;
    std::uint64_t at;  // in film::pool_
};

struct frame {
    std::uint64_t step = 0;      // how many instructions of the operation had run
    std::uint64_t location = 0;  // of the next instruction
    std::uint32_t first_patch = 0;
    std::uint32_t patch_count = 0;
    bool acknowledged = false;  // the operation had returned
};

class film {
public:
    film() = default;
    explicit film(segment_image first) : first_(std::move(first)) {}

    /// The image before the first frame.
    [[nodiscard]] const segment_image& first() const noexcept { return first_; }
    [[nodiscard]] const std::vector<frame>& frames() const noexcept { return frames_; }
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    void set_steps(std::uint64_t steps) noexcept { steps_ = steps; }

    /// So that add() does not allocate: it is called in signal handlers, too.
    void reserve(std::size_t frames, std::size_t bytes);
    [[nodiscard]] bool is_full() const noexcept { return is_full_; }

    /// Begins a frame that is like the one before, but for the patches added next.
    void begin_frame(std::uint64_t step, std::uint64_t location, bool acknowledged);
    void add(std::uint64_t offset, const std::byte* now, std::uint64_t bytes);

    /// Turns the image of frame `index - 1` into that of frame `index`.
    void advance(segment_image& image, std::size_t index) const;
    void advance(segment_image& image, std::size_t index, image_identity& identity) const;

    /// "instruction 812: control.log_bytes, slot 0 +96"; "store 31: ..." of a film of stores
    [[nodiscard]] std::string describe(std::size_t index) const;
    /// steps() counts stores rather than instructions.
    void count_stores() noexcept { unit_ = "store "; }

    /// To a file and back, at its position: a film of stores is made in one process and looked at in another.
    void save(int fd) const;
    [[nodiscard]] static film load(int fd);

    /// The words of the segment that each frame changes, first and last of each patch.
    [[nodiscard]] std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> changed_words() const;

private:
    segment_image first_;
    std::vector<frame> frames_;
    std::vector<patch> patches_;
    std::vector<std::byte> pool_;
    std::uint64_t steps_ = 0;
    const char* unit_ = "instruction ";
    bool is_limited_ = false;  // reserve() was called: nothing may grow
    bool is_full_ = false;
};

/// Adds to the film, as patches of its current frame, what differs between `known` and `now`, and makes `known` equal.
/// False when nothing does. `begin` is called before the first patch.
template <typename Begin>
bool add_differences(film& to, std::byte* known, const std::byte* now, byte_range range, Begin begin) {
    constexpr std::uint64_t block = 4096;
    bool found = false;
    for (std::uint64_t at = range.begin; at < range.end; at += block) {
        const std::uint64_t bytes = std::min(block, range.end - at);
        if (std::memcmp(known + at, now + at, bytes) == 0) continue;
        std::uint64_t first = at;
        std::uint64_t last = at + bytes - 1;
        while (known[first] == now[first]) ++first;
        while (known[last] == now[last]) --last;
        if (!found) begin();
        found = true;
        std::memcpy(known + first, now + first, last + 1 - first);
        to.add(first, known + first, last + 1 - first);
    }
    return found;
}

}  // namespace cairn_test
