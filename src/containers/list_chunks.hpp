// list_chunks.hpp - the chunks of a list: made, freed, walked.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <cairn/detail/containers/list_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The chunk at that position, made if it is not there yet. All new links are logged; new memory is not.
segment_offset ensure_chunk(root_transaction& tx, const chunk_links& links,
                            const list_geometry::position& at);

/// Pages that chunks for the indices from `first` to `last` would take which are not there yet: of those with pages of their own.
std::uint64_t missing_pages_of_chunks(const segment& s, const chunk_links& links, std::uint64_t first,
                                      std::uint64_t last);

/// Frees that chunk if it is there, its table and the directory when nothing is left in them.
void free_chunk(root_transaction& tx, const chunk_links& links, const list_geometry::position& at);

/// The last chunk there is; false when there is none.
bool last_chunk(const segment& s, const chunk_links& links, list_geometry::position& at);

/// Reports all chunks, tables and the directory to the audit; empty, or what is wrong.
std::string check_chunks(const segment& s, const chunk_links& links, arena_audit& audit);

/// copy_in for packed elements: words where the alignment allows, else element by element of 1, 2 or 4 bytes.
void copy_in_elements(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept;
void copy_out_elements(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept;

/// Logs the bytes and what is around them up to multiples of 8.
void log_elements(root_transaction& tx, std::byte* from, std::uint64_t bytes);

}  // namespace cairn::inline CAIRN_ABI::detail
