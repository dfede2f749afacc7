// SPDX-License-Identifier: BSL-1.0
#include "support/crash/film.hpp"

#include <stdexcept>
#include <type_traits>

#include <sys/types.h>
#include <unistd.h>

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
    std::string text = unit_;
    text += std::to_string(f.step) + ":";
    for (std::uint32_t i = f.first_patch; i < f.first_patch + f.patch_count; ++i) {
        text += (i == f.first_patch ? " " : ", ") + describe_offset(image, patches_[i].offset);
        text += " (" + std::to_string(patches_[i].bytes) + ")";
    }
    return text;
}

namespace {

// Bytes to and from a file, at its position.
void write_bytes(int fd, const void* from, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
        const ssize_t written = ::write(fd, static_cast<const std::byte*>(from) + done, bytes - done);
        if (written <= 0) throw std::runtime_error("a film cannot be written");
        done += static_cast<std::size_t>(written);
    }
}

void read_bytes(int fd, void* to, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
        const ssize_t got = ::read(fd, static_cast<std::byte*>(to) + done, bytes - done);
        if (got <= 0) throw std::runtime_error("a film cannot be read");
        done += static_cast<std::size_t>(got);
    }
}

template <typename T>
void write_all(int fd, const std::vector<T>& all) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::uint64_t count = all.size();
    write_bytes(fd, &count, sizeof count);
    write_bytes(fd, all.data(), count * sizeof(T));
}

template <typename T>
void read_all(int fd, std::vector<T>& all) {
    std::uint64_t count = 0;
    read_bytes(fd, &count, sizeof count);
    all.resize(count);
    read_bytes(fd, all.data(), count * sizeof(T));
}

}  // namespace

void film::save(int fd) const {
    write_all(fd, std::vector<std::byte>(first_.base(), first_.base() + first_.max_bytes()));
    write_all(fd, frames_);
    write_all(fd, patches_);
    write_all(fd, pool_);
    write_bytes(fd, &steps_, sizeof steps_);
}

film film::load(int fd) {
    std::vector<std::byte> first;
    read_all(fd, first);
    film loaded{segment_image(first.data())};
    loaded.count_stores();
    read_all(fd, loaded.frames_);
    read_all(fd, loaded.patches_);
    read_all(fd, loaded.pool_);
    read_bytes(fd, &loaded.steps_, sizeof loaded.steps_);
    return loaded;
}

std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> film::changed_words() const {
    constexpr std::uint32_t word = 8;
    std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> all;
    for (const frame& f : frames_) {
        auto& of_frame = all.emplace_back();
        for (std::uint32_t i = f.first_patch; i < f.first_patch + f.patch_count; ++i) {
            const patch& p = patches_[i];
            of_frame.emplace_back(p.offset / word, (p.offset + p.bytes - 1) / word);
        }
    }
    return all;
}

}  // namespace cairn_test
