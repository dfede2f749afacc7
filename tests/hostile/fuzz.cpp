// fuzz.cpp - damaged segments for libFuzzer (`tools/dev fuzz`): an input is a treatment, a sound segment, and words to put
// into it. What each word hits is chosen from the places that matter, so that coverage grows by what is written rather than
// by finding where.
//
//   | treatment, 1 byte | segment, 1 | then each 12 bytes:  place 2 | width and offset 2 | value 8 |
//
// The sound segments are made by this program when it starts. `fuzz_hostile --make-corpus DIRECTORY` writes inputs to start
// from: for each segment and treatment one with the words that are there already, and some that the mutator has spoilt.
//
// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "ground.hpp"
#include "os/identity.hpp"
#include <cairn/inspect.hpp>

using namespace cairn_test;

namespace {

constexpr std::size_t head_bytes = 2;
constexpr std::size_t patch_bytes = 12;
constexpr std::size_t most_patches = 64;

struct patch {
    std::uint16_t place = 0;
    std::uint16_t shape = 0;  // bit 0: four bytes rather than eight; above: a word behind the place
    std::uint64_t value = 0;
};

// The places of a segment that patches name by number: control words, the map, control blocks, nodes, links, spans.
std::vector<std::uint64_t> places_of(const segment_map& map) {
    using namespace cairn::detail;
    std::vector<std::uint64_t> places;
    const auto add = [&](std::uint64_t at, std::uint64_t bytes) {
        for (std::uint64_t word = 0; word < bytes; word += 8) places.push_back(at + word);
    };
    add(map.header.control_offset, offsetof(segment_control, log) + 256);
    for (const std::uint64_t slot : map.used) add(slot, offsetof(root_slot, name));
    for (const std::uint64_t slot : map.used) add(slot + offsetof(root_slot, log), 256);
    for (const std::uint64_t node : map.nodes) add(node, sizeof(list_node));
    for (const std::uint64_t span : map.spans) add(span, sizeof(span_header));
    add(map.header.map_offset, map.page_count * sizeof(page_entry));
    add(0, sizeof(segment_header));
    for (const std::uint64_t link : map.links) places.push_back(link / 8 * 8);
    return places;
}

class fuzzed {
public:
    fuzzed() : sound_(make_sound_segments()) {
        sound_.pop_back();  // the large one is slow
        for (const sound_segment& each : sound_) places_.push_back(places_of(each.map));
    }

    void use(const std::uint8_t* data, std::size_t size) {
        if (size < head_bytes) return;
        const auto how = static_cast<treatment>(data[0] % treatment_count);
        const std::size_t which = data[1] % sound_.size();
        const sound_segment& sound = sound_[which];
        std::string damaged = sound.bytes;
        std::size_t left = most_patches;
        for (std::size_t at = head_bytes; at + patch_bytes <= size && left-- != 0; at += patch_bytes)
            apply(damaged, places_[which], data + at);
        if (how != treatment::under_handles) sign(damaged);
        mutator(0, static_cast<std::uint32_t>(cairn::detail::os::thread_id()))
            .make_locks_answer(damaged, sound.map);
        attempt_log log;
        attempts attempt(log);
        ground_.use_everything(how, sound, damaged, data[1] / sound_.size(), attempt);
        if (const std::string left_over = left_behind(); !left_over.empty()) attempt.fail(left_over);
        if (log.failure[0] != '\0') {
            std::fprintf(stderr, "%s: %s\n", describe(how), log.failure);
            std::abort();
        }
    }

    void make_corpus(const std::string& directory) const {
        for (std::size_t which = 0; which < sound_.size(); ++which)
            for (std::size_t how = 0; how < treatment_count; ++how)
                for (std::uint64_t seed = 0; seed < 24; ++seed) write_input(directory, which, how, seed);
    }

private:
    static void apply(std::string& bytes, const std::vector<std::uint64_t>& places,
                      const std::uint8_t* data) {
        patch p;
        std::memcpy(&p.place, data, 2);
        std::memcpy(&p.shape, data + 2, 2);
        std::memcpy(&p.value, data + 4, 8);
        const std::uint64_t at = places[p.place % places.size()] + (p.shape >> 1 & 1) * 4;
        const std::size_t count = (p.shape & 1) != 0 ? 4 : 8;
        if (at + count <= bytes.size()) std::memcpy(bytes.data() + at, &p.value, count);
    }

    // So that a header that was changed is not refused for its checksum alone.
    static void sign(std::string& bytes) {
        using namespace cairn::detail;
        auto* header = reinterpret_cast<segment_header*>(bytes.data());
        header->checksum = hash_bytes(header, offsetof(segment_header, checksum), segment_magic);
    }

    void write_input(const std::string& directory, std::size_t which, std::size_t how,
                     std::uint64_t seed) const {
        const sound_segment& sound = sound_[which];
        std::string spoilt = sound.bytes;
        if (seed != 0) mutator(seed).damage(spoilt, sound.map);
        std::string input = {static_cast<char>(how), static_cast<char>(which)};
        const std::vector<std::uint64_t>& places = places_[which];
        std::size_t count = 0;
        const std::size_t most = std::min<std::size_t>(places.size(), 0x10000);
        for (std::size_t i = 0; i < most && count < most_patches; ++i) {
            // Of the sound one every 40th word, as it is; of a spoilt one those that differ.
            const bool wanted =
                seed == 0 ? i % 40 == 0 : spoilt.compare(places[i], 8, sound.bytes, places[i], 8) != 0;
            if (!wanted) continue;
            const auto place = static_cast<std::uint16_t>(i);
            const std::uint16_t shape = 0;
            input.append(reinterpret_cast<const char*>(&place), 2);
            input.append(reinterpret_cast<const char*>(&shape), 2);
            input.append(spoilt, places[i], 8);
            ++count;
        }
        std::ofstream(directory + "/sound-" + std::to_string(which) + "-" + std::to_string(how) + "-" +
                      std::to_string(seed))
            << input;
    }

    std::vector<sound_segment> sound_;
    std::vector<std::vector<std::uint64_t>> places_;
    hostile_ground ground_;
};

fuzzed& the_one() {
    static fuzzed one;
    return one;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    // REQUIRE works outside of test cases, too: it throws.
    static doctest::Context context;
    context.setAsDefaultForAssertsOutOfTestCases();
    if (const char* directory = std::getenv("CAIRN_FUZZ_DIRECTORY")) cairn::use_segment_directory(directory);
    if (*argc == 3 && std::string_view((*argv)[1]) == "--make-corpus") {
        fuzzed().make_corpus((*argv)[2]);
        std::exit(0);
    }
    static_cast<void>(the_one());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    the_one().use(data, size);
    return 0;
}
