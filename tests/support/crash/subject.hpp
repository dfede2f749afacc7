// subject.hpp - a segment that is put into one image after the other, and what is asked of each.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

#include "os/unique_fd.hpp"
#include "support/crash/experiment.hpp"
#include "support/crash/film.hpp"
#include "support/crash/victim.hpp"
#include <cairn/detail/segment/segment.hpp>

namespace cairn_test {

/// Another file with these bytes.
cairn::detail::os::unique_fd make_segment_file(const segment_image& image);

/// Somebody who attached before the victim died, has handles, and finds the images that a death may leave.
class survivor {
public:
    /// Attaches to a file of its own with this image, in which all is well.
    survivor(const experiment& what, const segment_image& healthy);
    survivor(const survivor&) = delete;
    survivor& operator=(const survivor&) = delete;
    ~survivor();

    void restore(const segment_image& image);
    /// What is there now.
    [[nodiscard]] segment_image look_at_bytes() const;
    [[nodiscard]] visitor& handles() noexcept { return *visitor_; }
    /// Of the file, in this process.
    [[nodiscard]] int descriptor() const noexcept { return file_.get(); }
    [[nodiscard]] cairn::detail::segment& in() noexcept { return *segment_; }

private:
    cairn::detail::segment_ptr segment_;
    std::unique_ptr<visitor> visitor_;
    cairn::detail::os::unique_fd file_;
    cairn::detail::participant_slot own_slot_;
};

/// Recovers what is in the segment, by ordinary use, and checks everything that DESIGN.md promises of it.
/// Throws lab_failure.
outcome recover_and_judge(visitor& by, const cairn::detail::segment& s, approach how);
/// The part after the recovery; `seen` is what a reader had seen before it.
outcome judge(visitor& by, const cairn::detail::segment& s, std::optional<outcome> seen);

/// The part after look(): structure, going on, and that nothing is left over.
void judge_rest(visitor& by, const cairn::detail::segment& s);

/// As somebody who attaches to the image only now.
outcome judge_as_newcomer(const experiment& what, const segment_image& image, approach how);

/// What a victim does: builds the state, stops, runs the operation, stops.
void play(const experiment& what, stage& shared);

}  // namespace cairn_test
