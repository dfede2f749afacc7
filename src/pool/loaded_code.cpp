// SPDX-License-Identifier: BSL-1.0
#include "pool/loaded_code.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <dlfcn.h>
#include <link.h>

#include "os/probe.hpp"

namespace cairn::inline CAIRN_ABI::detail {

// Asks the loader in the one way that takes no lock: a child that is forked meanwhile does not find one taken.
loaded_object object_with(const void* code) {
    dl_find_object found{};
    if (::_dl_find_object(const_cast<void*>(code), &found) != 0) return {~std::uintptr_t{0}, {}};
    const char* const name = found.dlfo_link_map == nullptr ? nullptr : found.dlfo_link_map->l_name;
    return {reinterpret_cast<std::uintptr_t>(found.dlfo_map_start), name == nullptr ? "" : name};
}

// Whatever begins a file in its memory map is asked for. A pool's first result waits for this: no stream, and no copies of lines.
std::vector<loaded_object> loaded_objects() {
    std::vector<loaded_object> all;
    const std::string maps = os::read_small_file("/proc/self/maps");
    for (std::size_t begin = 0; begin < maps.size();) {
        const std::size_t end = std::min(maps.find('\n', begin), maps.size());
        const char* const line = maps.data() + begin;
        if (std::memchr(line, '/', end - begin) != nullptr) {
            const std::uintptr_t start = std::strtoull(line, nullptr, 16);
            loaded_object object = object_with(reinterpret_cast<const void*>(start));
            if (object.address == start) all.push_back(std::move(object));
        }
        begin = end + 1;
    }
    return all;
}

}  // namespace cairn::inline CAIRN_ABI::detail
