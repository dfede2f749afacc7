// What a user's first program against the installed library looks like.
// SPDX-License-Identifier: BSL-1.0
#include <iostream>

#include <cairn/cairn.hpp>

int main() {
    cairn::manager m;
    auto l = m.list<long>("l");
    l.push_back(7);
    std::cout << l << '\n';
}
