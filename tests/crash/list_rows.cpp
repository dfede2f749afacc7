// SPDX-License-Identifier: BSL-1.0
#include "crash/list_rows.hpp"

namespace cairn_test {

void leave_free_pages(const cairn::manager& m, std::uint32_t pages) {
    // One page to an element: a string is a block, and a block of 4 KiB has a page of its own.
    auto ballast = m.list<std::string>("ballast");
    const std::string page(4096, 'b');
    auto free_pages = [&] {
        const cairn::segment_stats stats = m.stats();
        return (stats.size_bytes - stats.used_bytes) / 4096;
    };
    try {
        ballast.reserve(100);
        while (free_pages() > pages) ballast.push_back(page);
    } catch (const cairn::segment_full&) {}
    if (free_pages() != pages) throw lab_failure("the segment cannot be filled up to the wanted page");
}

}  // namespace cairn_test
