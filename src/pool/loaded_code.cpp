// SPDX-License-Identifier: BSL-1.0
#include "pool/loaded_code.hpp"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include <dlfcn.h>
#include <link.h>

namespace cairn::inline CAIRN_ABI::detail {

// Asks the loader in the one way that takes no lock: a child that is forked meanwhile does not find one taken.
loaded_object object_with(const void* code) {
    dl_find_object found{};
    if (::_dl_find_object(const_cast<void*>(code), &found) != 0) return {~std::uintptr_t{0}, {}};
    const char* const name = found.dlfo_link_map == nullptr ? nullptr : found.dlfo_link_map->l_name;
    return {reinterpret_cast<std::uintptr_t>(found.dlfo_map_start), name == nullptr ? "" : name};
}

// Whatever begins a file in its memory map is asked for.
std::vector<loaded_object> loaded_objects() {
    std::vector<loaded_object> all;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find('/') == std::string::npos) continue;
        const std::uintptr_t start = std::strtoull(line.c_str(), nullptr, 16);
        loaded_object object = object_with(reinterpret_cast<const void*>(start));
        if (object.address == start) all.push_back(std::move(object));
    }
    return all;
}

}  // namespace cairn::inline CAIRN_ABI::detail
