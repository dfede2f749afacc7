#include "support/crash/film.hpp"

namespace cairn_test {

void film::reserve(std::size_t frames, std::size_t bytes) {
    frames_.reserve(frames);
    patches_.reserve(2 * frames);
    pool_.reserve(bytes);
    is_limited_ = true;
}

void film::begin_frame(std::uint64_t step, std::uint64_t location, bool acknowledged) {
    if (is_limited_ && frames_.size() == frames_.capacity()) is_full_ = true;
    if (is_full_) return;
    frames_.push_back({step, location, static_cast<std::uint32_t>(patches_.size()), 0, acknowledged});
}

void film::add(std::uint64_t offset, const std::byte* now, std::uint64_t bytes) {
    if (is_limited_ && (patches_.size() == patches_.capacity() || pool_.capacity() - pool_.size() < bytes))
        is_full_ = true;
    if (is_full_) return;
    patches_.push_back({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(bytes), pool_.size()});
    pool_.insert(pool_.end(), now, now + bytes);
    ++frames_.back().patch_count;
}

void film::advance(segment_image& image, std::size_t index) const {
    const frame& f = frames_[index];
    for (std::uint32_t i = f.first_patch; i < f.first_patch + f.patch_count; ++i)
        std::memcpy(image.base() + patches_[i].offset, pool_.data() + patches_[i].at, patches_[i].bytes);
}

void film::advance(segment_image& image, std::size_t index, image_identity& identity) const {
    advance(image, index);
    const frame& f = frames_[index];
    for (std::uint32_t i = f.first_patch; i < f.first_patch + f.patch_count; ++i)
        identity.changed(patches_[i].offset, patches_[i].bytes);
}

std::string film::describe(std::size_t index) const {
    const frame& f = frames_[index];
    segment_image image = first_;
    for (std::size_t i = 0; i <= index; ++i) advance(image, i);
    std::string text = "instruction " + std::to_string(f.step) + ":";
    for (std::uint32_t i = f.first_patch; i < f.first_patch + f.patch_count; ++i) {
        text += (i == f.first_patch ? " " : ", ") + describe_offset(image, patches_[i].offset);
        text += " (" + std::to_string(patches_[i].bytes) + ")";
    }
    return text;
}

}  // namespace cairn_test
