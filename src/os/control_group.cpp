// SPDX-License-Identifier: BSL-1.0
#include "os/control_group.hpp"

#include <algorithm>
#include <cstddef>

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// Of a group and all around it.
void append_folders(std::vector<std::string>& to, const std::string& root, std::string group) {
    for (;;) {
        to.push_back(root + group);
        const std::size_t parent = group.rfind('/');
        if (group.empty() || parent == std::string::npos) return;
        group.resize(parent);
    }
}

// Appended rather than added up: GCC 12 warns of memory that overlaps in `"," + std::string` (its bug 105651).
std::string between_commas(std::string_view names) {
    std::string text(1, ',');
    text += names;
    text += ',';
    return text;
}

}  // namespace

control_group_folders folders_of_control_group(const std::string& groups, const std::string& mounted,
                                               std::string_view controller) {
    control_group_folders folders;
    const std::string wanted = between_commas(controller);
    for (std::size_t begin = 0; begin < groups.size();) {
        const std::size_t end = std::min(groups.find('\n', begin), groups.size());
        const std::string line = groups.substr(begin, end - begin);
        begin = end + 1;
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = between_commas(line.substr(first + 1, second - first - 1));
        const std::string group = line.substr(second + 1);
        if (controllers == ",,") append_folders(folders.version_2, mounted, group);
        else if (controllers.find(wanted) != std::string::npos)
            append_folders(folders.version_1, mounted + "/" + std::string(controller), group);
    }
    return folders;
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
