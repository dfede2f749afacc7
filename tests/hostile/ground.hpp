// ground.hpp - sound segments to be damaged, and everything that a program can do to a damaged one.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attempts.hpp"
#include "support/mutations.hpp"
#include "support/scratch.hpp"

namespace cairn_test {

/// A sound segment's bytes, and where things are in them.
struct sound_segment {
    std::string what;  // "at rest", "a writer died in a change"
    std::string bytes;
    segment_map map;

    sound_segment(std::string state, std::string contents)
        : what(std::move(state)), bytes(std::move(contents)), map(bytes) {}
};

/// One of each state that a segment can be found in, made by the library itself.
std::vector<sound_segment> make_sound_segments();

/// What is done to a segment.
enum class treatment {
    opened,         // damaged, then opened for reading and writing
    read_only,      // damaged, then opened for reading
    under_handles,  // opened, then damaged, with handles and all
    tidied,         // damaged, then inspected, collected and removed
};
inline constexpr std::size_t treatment_count = 4;
const char* describe(treatment how) noexcept;

/// A name in /dev/shm under which one damaged segment after the other stands.
class hostile_ground {
public:
    hostile_ground();
    hostile_ground(const hostile_ground&) = delete;
    hostile_ground& operator=(const hostile_ground&) = delete;
    ~hostile_ground();

    /// Every operation of the manager, of handles to some of the subjects, which `choice` chooses, and of inspection.
    /// `sound` is what stands there until the damage is done, `damaged` what then does.
    void use_everything(treatment how, const sound_segment& sound, const std::string& damaged,
                        std::uint64_t choice, attempts& attempt);

private:
    void place(const std::string& bytes);
    void use_opened(const std::string& damaged, const sound_segment* sound, bool writes, std::uint64_t choice,
                    attempts& attempt);
    void tidy(attempts& attempt);

    scratch_name name_;
    int fd_ = -1;
};

/// Things that an operation must not leave behind, whatever it has met: this thread's marks, mappings, descriptors.
std::string left_behind();

}  // namespace cairn_test
