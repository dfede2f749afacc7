// layout_test.cpp - format 5, by number.
//
// Programs of other versions, other compilers and other machines read the same bytes, so the numbers here are the same for
// all of them: x86-64 and AArch64, GCC and Clang. A number that has to change is a new format: raise segment_format.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include <doctest/doctest.h>

#include "base/hash.hpp"
#include "segment/format.hpp"
#include "service/service_set_layout.hpp"
#include "txn/root_pin.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/dict_layout.hpp>
#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/containers/queue_layout.hpp>
#include <cairn/detail/containers/value_cell.hpp>
#include <cairn/detail/segment/segment_layout.hpp>
#include <cairn/detail/segment/undo_log.hpp>
#include <cairn/detail/sync/sync_layout.hpp>

namespace layout_test {

using namespace cairn::detail;

namespace {

struct field {
    std::string_view name;
    std::size_t offset;
    std::size_t bytes;
    std::size_t pinned;
};

// Every field at its number, and no byte that belongs to none: a field that nobody has listed here shows as a gap.
template <typename T>
void check_layout(std::size_t pinned_bytes, std::initializer_list<field> fields) {
    static_assert(std::is_standard_layout_v<T> && std::is_trivially_copyable_v<T>);
    CHECK(sizeof(T) == pinned_bytes);
    std::size_t end = 0;
    for (const field& f : fields) {
        INFO("field ", std::string(f.name));
        CHECK(f.offset == f.pinned);
        CHECK(f.offset == end);
        end = f.offset + f.bytes;
    }
    CHECK(end == pinned_bytes);
}

}  // namespace

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): only the preprocessor can name a field
#define AT(type, name, pinned)                                                                               \
    { #name, offsetof(type, name), sizeof(type::name), pinned }

TEST_CASE("a stored mutex has its size and its fields where format 5 has them") {
    check_layout<stored_mutex>(40, {
                                       AT(stored_mutex, word, 0),
                                       AT(stored_mutex, holder, 8),
                                       AT(stored_mutex, told, 16),
                                       AT(stored_mutex, previous, 24),
                                       AT(stored_mutex, next, 32),
                                   });
}

TEST_CASE("the header of a segment has its size and its fields where format 5 has them") {
    check_layout<segment_header>(368, {
                                          AT(segment_header, magic, 0),
                                          AT(segment_header, format, 8),
                                          AT(segment_header, header_bytes, 12),
                                          AT(segment_header, abi, 16),
                                          AT(segment_header, max_bytes, 24),
                                          AT(segment_header, control_offset, 32),
                                          AT(segment_header, participants_offset, 40),
                                          AT(segment_header, buckets_offset, 48),
                                          AT(segment_header, map_offset, 56),
                                          AT(segment_header, data_offset, 64),
                                          AT(segment_header, page_limit, 72),
                                          AT(segment_header, participant_count, 76),
                                          AT(segment_header, bucket_count, 80),
                                          AT(segment_header, persist, 84),
                                          AT(segment_header, remove_when_unused, 88),
                                          AT(segment_header, hash_algorithm, 92),
                                          AT(segment_header, hash_seed, 96),
                                          AT(segment_header, boot_id, 104),
                                          AT(segment_header, pid_namespace, 120),
                                          AT(segment_header, time_namespace, 128),
                                          AT(segment_header, created_nanoseconds, 136),
                                          AT(segment_header, creator_pid, 144),
                                          AT(segment_header, name_bytes, 148),
                                          AT(segment_header, name, 152),
                                          AT(segment_header, checksum, 360),
                                      });
}

TEST_CASE("an entry of the page map has its size and its fields where format 5 has them") {
    check_layout<page_entry>(16, {
                                     AT(page_entry, tag, 0),
                                     AT(page_entry, owner, 4),
                                     AT(page_entry, next, 8),
                                     AT(page_entry, previous, 12),
                                 });
}

TEST_CASE("the control block of a segment has its size and its fields where format 5 has them") {
    check_layout<segment_control>(8520, {
                                            AT(segment_control, lock, 0),
                                            AT(segment_control, log_bytes, 40),
                                            AT(segment_control, committed_bytes, 48),
                                            AT(segment_control, retired, 56),
                                            AT(segment_control, pending_slot, 60),
                                            AT(segment_control, first_free_slot, 64),
                                            AT(segment_control, first_slot, 68),
                                            AT(segment_control, last_generation, 72),
                                            AT(segment_control, last_participant, 80),
                                            AT(segment_control, last_generated_name, 88),
                                            AT(segment_control, free_pages, 96),
                                            AT(segment_control, slot_count, 104),
                                            AT(segment_control, live_root_count, 108),
                                            AT(segment_control, free_heads, 112),
                                            AT(segment_control, recovery_count, 240),
                                            AT(segment_control, building_slot, 248),
                                            AT(segment_control, bucket_count, 252),
                                            AT(segment_control, name_levels, 256),
                                            AT(segment_control, rolled_back_count, 304),
                                            AT(segment_control, holes_from, 308),
                                            AT(segment_control, used_participants, 312),
                                            AT(segment_control, reserved_, 316),
                                            AT(segment_control, shown_bytes, 320),
                                            AT(segment_control, log, 328),
                                        });
}

TEST_CASE("a participant's slot has its size and its fields where format 5 has them") {
    check_layout<participant_slot>(128, {
                                            AT(participant_slot, identity, 0),
                                            AT(participant_slot, number, 8),
                                            AT(participant_slot, flags, 16),
                                            AT(participant_slot, reserved_, 24),
                                            AT(participant_slot, program, 32),
                                            AT(participant_slot, shared_locks, 64),
                                        });
}

TEST_CASE("an event count has its size and its fields where format 5 has them") {
    check_layout<stored_event_count>(8, {
                                            AT(stored_event_count, sequence, 0),
                                            AT(stored_event_count, waiters, 4),
                                        });
}

TEST_CASE("an unfinished operation has its size and its fields where format 5 has them") {
    check_layout<stored_operation>(64, {
                                           AT(stored_operation, kind, 0),
                                           AT(stored_operation, phase, 4),
                                           AT(stored_operation, node, 8),
                                           AT(stored_operation, progress, 16),
                                           AT(stored_operation, arguments, 24),
                                       });
}

TEST_CASE("the words of an arena has its size and its fields where format 5 has them") {
    check_layout<arena_header>(320, {
                                        AT(arena_header, bump, 0),
                                        AT(arena_header, bump_end, 8),
                                        AT(arena_header, loose_pages, 16),
                                        AT(arena_header, loose_free, 24),
                                        AT(arena_header, partial_spans, 184),
                                        AT(arena_header, empty_span, 312),
                                        AT(arena_header, reserved_, 316),
                                    });
}

TEST_CASE("the control block of a root has its size and its fields where format 5 has them") {
    check_layout<root_slot>(2032, {
                                      AT(root_slot, lock, 0),
                                      AT(root_slot, log_head, 40),
                                      AT(root_slot, contended_count, 48),
                                      AT(root_slot, rolling_back, 56),
                                      AT(root_slot, part_of, 60),
                                      AT(root_slot, version, 64),
                                      AT(root_slot, generation, 72),
                                      AT(root_slot, state, 80),
                                      AT(root_slot, kind, 84),
                                      AT(root_slot, node, 88),
                                      AT(root_slot, extents, 96),
                                      AT(root_slot, settled, 100),
                                      AT(root_slot, extent_pages, 104),
                                      AT(root_slot, committed, 112),
                                      AT(root_slot, outstanding, 120),
                                      AT(root_slot, decided_root, 128),
                                      AT(root_slot, decided_number, 136),
                                      AT(root_slot, type_name, 144),
                                      AT(root_slot, type_name_bytes, 152),
                                      AT(root_slot, name_bytes, 156),
                                      AT(root_slot, fingerprint, 160),
                                      AT(root_slot, name_hash, 168),
                                      AT(root_slot, next_in_bucket, 176),
                                      AT(root_slot, next_slot, 180),
                                      AT(root_slot, next_free_slot, 184),
                                      AT(root_slot, pending_free, 188),
                                      AT(root_slot, created_nanoseconds, 192),
                                      AT(root_slot, recovery_count, 200),
                                      AT(root_slot, rolled_back_count, 208),
                                      AT(root_slot, last_recovery_nanoseconds, 216),
                                      AT(root_slot, last_dead_thread, 224),
                                      AT(root_slot, last_operation, 228),
                                      AT(root_slot, last_undone_bytes, 232),
                                      AT(root_slot, poison_reason, 240),
                                      AT(root_slot, events, 248),
                                      AT(root_slot, operation, 280),
                                      AT(root_slot, once, 344),
                                      AT(root_slot, arena, 352),
                                      AT(root_slot, name, 672),
                                      AT(root_slot, log, 928),
                                      AT(root_slot, acquired_before, 1952),
                                      AT(root_slot, given_up, 1960),
                                      AT(root_slot, pins, 1968),
                                      AT(root_slot, cell, 2016),
                                  });
    check_layout<stored_pin>(24, {
                                     AT(stored_pin, owner, 0),
                                     AT(stored_pin, holder, 8),
                                     AT(stored_pin, reserved_, 16),
                                 });
    CHECK(pin_slots == 2);
    CHECK(make_thread_token(3, 5) == 0xc00005);
}

TEST_CASE("the node of an object in parts has its size and its fields where format 5 has them") {
    check_layout<parts_node>(8, {
                                    AT(parts_node, count, 0),
                                    AT(parts_node, reserved_, 4),
                                });
    CHECK(parts_node_bytes(16) == 72);
    parts_node node{};
    CHECK(reinterpret_cast<std::byte*>(part_links(node)) == reinterpret_cast<std::byte*>(&node) + 8);
    CHECK(most_parts == 64);
    // The lowest bits of a hash choose the shard.
    CHECK(shard_of(0x123456789abcdef5, 16) == 5);
    CHECK(shard_of(0x123456789abcdef5, 64) == 0x35);
    CHECK(shard_of(0x123456789abcdef5, 1) == 0);
}

TEST_CASE("locks and the like have their nodes and their kinds where format 5 has them") {
    check_layout<mutex_node>(16, {
                                     AT(mutex_node, state, 0),
                                     AT(mutex_node, depth, 4),
                                     AT(mutex_node, word, 8),
                                 });
    check_layout<event_node>(8, {AT(event_node, word, 0)});
    check_layout<condition_node>(32, {
                                         AT(condition_node, began, 0),
                                         AT(condition_node, released, 8),
                                         AT(condition_node, waiters, 16),
                                         AT(condition_node, waiter_count, 24),
                                         AT(condition_node, reserved_, 28),
                                     });
    check_layout<condition_waiter>(16, {
                                           AT(condition_waiter, thread, 0),
                                           AT(condition_waiter, ticket, 8),
                                       });
    CHECK(static_cast<int>(object_kind::condition) == 14);
    check_layout<barrier_node>(56, {
                                       AT(barrier_node, round, 0),
                                       AT(barrier_node, failed, 8),
                                       AT(barrier_node, failed_before, 16),
                                       AT(barrier_node, members, 24),
                                       AT(barrier_node, member_count, 32),
                                       AT(barrier_node, parties, 36),
                                       AT(barrier_node, arrived, 40),
                                       AT(barrier_node, is_broken, 44),
                                       AT(barrier_node, end, 48),
                                       AT(barrier_node, culprit, 52),
                                   });
    check_layout<barrier_member>(16, {
                                         AT(barrier_member, participant, 0),
                                         AT(barrier_member, pid, 8),
                                         AT(barrier_member, has_ended, 12),
                                     });
    CHECK(static_cast<int>(object_kind::barrier) == 16);
    CHECK(static_cast<int>(barrier_end::died) == 1);
    CHECK(static_cast<int>(barrier_end::timed_out) == 2);
    CHECK(static_cast<int>(barrier_end::aborted) == 3);
    CHECK(static_cast<int>(barrier_end::reset) == 4);
    check_layout<once_node>(24, {AT(once_node, lock, 0), AT(once_node, done, 16)});
    CHECK(static_cast<int>(object_kind::once) == 21);
    check_layout<array_node>(40,
                             {AT(array_node, lock, 0), AT(array_node, size, 16), AT(array_node, stride, 24),
                              AT(array_node, reserved_, 28), AT(array_node, elements, 32)});
    CHECK(static_cast<int>(object_kind::array) == 9);
    check_layout<value_node>(16,
                             {AT(value_node, form, 0), AT(value_node, bytes, 4), AT(value_node, element, 8)});
    check_layout<stored_cell>(16, {AT(stored_cell, value, 0), AT(stored_cell, control, 8)});
    CHECK(static_cast<int>(object_kind::value) == 8);
    CHECK(static_cast<int>(object_kind::name_space) == 10);
    check_layout<latch_node>(8, {AT(latch_node, remaining, 0)});
    CHECK(static_cast<int>(object_kind::latch) == 20);
    check_layout<semaphore_node>(32, {
                                         AT(semaphore_node, available, 0),
                                         AT(semaphore_node, bound, 8),
                                         AT(semaphore_node, holders, 16),
                                         AT(semaphore_node, holder_count, 24),
                                         AT(semaphore_node, reserved_, 28),
                                     });
    check_layout<permit_holder>(16, {
                                        AT(permit_holder, participant, 0),
                                        AT(permit_holder, count, 8),
                                    });
    CHECK(static_cast<int>(hold_state::owner_died) == 2);
    CHECK(static_cast<int>(object_kind::mutex) == 11);
    CHECK(static_cast<int>(object_kind::recursive_mutex) == 12);
    CHECK(static_cast<int>(object_kind::semaphore) == 13);
    CHECK(static_cast<int>(object_kind::event) == 15);
    CHECK(static_cast<int>(object_kind::bounded_semaphore) == 24);
}

TEST_CASE("the node of a list has its size and its fields where format 5 has them") {
    check_layout<list_node>(64, {
                                    AT(list_node, size, 0),
                                    AT(list_node, limit, 8),
                                    AT(list_node, tail_base, 16),
                                    AT(list_node, directory, 24),
                                    AT(list_node, chunks, 32),
                                    AT(list_node, stride, 56),
                                    AT(list_node, form, 60),
                                    AT(list_node, base_log2, 61),
                                    AT(list_node, reserved_, 62),
                                });
}

TEST_CASE("the node of a dict has its size and its fields where format 5 has them") {
    check_layout<dict_shape>(8, {
                                    AT(dict_shape, key_form, 0),
                                    AT(dict_shape, value_form, 1),
                                    AT(dict_shape, key_bytes, 2),
                                    AT(dict_shape, value_bytes, 4),
                                    AT(dict_shape, reserved_, 6),
                                });
    check_layout<dict_node>(80, {
                                    AT(dict_node, directory, 0),
                                    AT(dict_node, single, 8),
                                    AT(dict_node, seed, 16),
                                    AT(dict_node, shift, 24),
                                    AT(dict_node, shape, 28),
                                    AT(dict_node, reserved_, 36),
                                    AT(dict_node, size, 40),
                                    AT(dict_node, next_sequence, 48),
                                    AT(dict_node, order_root, 56),
                                    AT(dict_node, order_leaf, 64),
                                    AT(dict_node, order_height, 72),
                                    AT(dict_node, reserved2_, 76),
                                });
}

TEST_CASE("the beginning of a table has its size and its fields where format 5 has them") {
    check_layout<dict_table_header>(32, {
                                            AT(dict_table_header, used, 0),
                                            AT(dict_table_header, live, 4),
                                            AT(dict_table_header, depth, 8),
                                            AT(dict_table_header, reserved_, 12),
                                        });
}

TEST_CASE("the node of a queue and its chunks have their size and their fields where format 5 has them") {
    check_layout<queue_node>(200, {
                                      AT(queue_node, head, 0),
                                      AT(queue_node, head_limit, 8),
                                      AT(queue_node, head_base, 16),
                                      AT(queue_node, tail, 24),
                                      AT(queue_node, tail_limit, 32),
                                      AT(queue_node, tail_base, 40),
                                      AT(queue_node, done, 48),
                                      AT(queue_node, maxsize, 56),
                                      AT(queue_node, returned_count, 64),
                                      AT(queue_node, leased_count, 68),
                                      AT(queue_node, returned, 72),
                                      AT(queue_node, leased, 80),
                                      AT(queue_node, last_lease, 88),
                                      AT(queue_node, dead_letters, 96),
                                      AT(queue_node, head_chunk, 104),
                                      AT(queue_node, tail_chunk, 112),
                                      AT(queue_node, spare_chunk, 120),
                                      AT(queue_node, closed_nanoseconds, 128),
                                      AT(queue_node, closed_pid, 136),
                                      AT(queue_node, stride, 140),
                                      AT(queue_node, form, 144),
                                      AT(queue_node, state, 145),
                                      AT(queue_node, has_batch_waiters, 146),
                                      AT(queue_node, is_dead_letters, 147),
                                      AT(queue_node, max_deliveries, 148),
                                      AT(queue_node, order, 152),
                                      AT(queue_node, reserved_, 153),
                                      AT(queue_node, holder_count, 156),
                                      AT(queue_node, holders, 160),
                                      AT(queue_node, lost, 168),
                                      AT(queue_node, next_sweep, 176),
                                      AT(queue_node, batch_putter, 184),
                                      AT(queue_node, batch_places, 192),
                                  });
    check_layout<heap_entry>(16, {
                                     AT(heap_entry, sequence, 0),
                                     AT(heap_entry, item, 8),
                                 });
    CHECK(static_cast<int>(queue_order::fifo) == 0);
    CHECK(static_cast<int>(queue_order::lifo) == 1);
    CHECK(static_cast<int>(queue_order::priority) == 2);
    CHECK(static_cast<int>(object_kind::lifo_queue) == 5);
    CHECK(static_cast<int>(object_kind::priority_queue) == 6);
    check_layout<lease_record>(48, {
                                       AT(lease_record, next, 0),
                                       AT(lease_record, previous, 8),
                                       AT(lease_record, lease, 16),
                                       AT(lease_record, participant, 24),
                                       AT(lease_record, ticket, 32),
                                       AT(lease_record, deliveries, 40),
                                       AT(lease_record, reserved_, 44),
                                   });
    check_layout<queue_chunk>(16, {
                                      AT(queue_chunk, next, 0),
                                      AT(queue_chunk, slot_count, 8),
                                  });
    CHECK(queue_has_item == 0);
    CHECK(queue_has_room == 1);
    CHECK(queue_all_done == 2);
    CHECK(static_cast<int>(queue_state::open) == 0);
    CHECK(static_cast<int>(queue_state::closed) == 1);
    CHECK(static_cast<int>(queue_state::shut) == 2);
}

TEST_CASE("the slot of a blob has its size and its fields where format 5 has them") {
    check_layout<blob_slot>(16, {
                                    AT(blob_slot, first, 0),
                                    AT(blob_slot, last, 8),
                                });
}

TEST_CASE("the beginning of a span has its size and its fields where format 5 has them") {
    check_layout<span_header>(64, {
                                      AT(span_header, state, 0),
                                      AT(span_header, next_partial, 8),
                                      AT(span_header, previous_partial, 12),
                                      AT(span_header, size_class, 16),
                                      AT(span_header, block_count, 20),
                                      AT(span_header, reserved_, 24),
                                  });
}

TEST_CASE("the beginning of a spilled log has its size and its fields where format 5 has them") {
    check_layout<log_area_header>(16, {
                                          AT(log_area_header, previous_head, 0),
                                          AT(log_area_header, bytes, 8),
                                      });
}

TEST_CASE("a block that waits to be given back has its size and its fields where format 5 has them") {
    check_layout<pending_block>(16, {
                                        AT(pending_block, next, 0),
                                        AT(pending_block, page_count, 8),
                                    });
}

TEST_CASE("the parts of a segment begin where format 5 has them") {
    const segment_header h = make_header("layout", {.max_size = 1 << 20}, false);
    CHECK(h.control_offset == 4096);
    CHECK(h.participants_offset == 16384);
    CHECK(h.buckets_offset == 81920);
    CHECK(h.map_offset == 86016);
    CHECK(h.data_offset == 131072);
    CHECK(h.page_limit == 218);
    CHECK(h.max_bytes == 131072 + 218 * 4096);
    CHECK(h.participant_count == 512);
    CHECK(h.bucket_count == 1024);
}

TEST_CASE("numbers that are stored mean what format 5 says") {
    CHECK(segment_magic == 0x314E524941430A89);
    CHECK(segment_format == 5);
    CHECK(page_bytes == 4096);
    CHECK(root_slot_bytes == 2048);
    CHECK(root_log_bytes == 1024);
    CHECK(segment_log_bytes == 8192);
    CHECK(max_segment_bytes == std::uint64_t{512} << 30);

    CHECK(static_cast<int>(extent_state::inside) == 0);
    CHECK(static_cast<int>(extent_state::free) == 1);
    CHECK(static_cast<int>(extent_state::used) == 2);
    CHECK(static_cast<int>(extent_purpose::none) == 0);
    CHECK(static_cast<int>(extent_purpose::roots) == 1);
    CHECK(static_cast<int>(extent_purpose::names) == 6);
    CHECK(static_cast<int>(extent_purpose::loose) == 2);
    CHECK(static_cast<int>(extent_purpose::span) == 3);
    CHECK(static_cast<int>(extent_purpose::large) == 4);
    CHECK(static_cast<int>(extent_purpose::log) == 5);
    CHECK(make_tag(5, extent_state::used, extent_purpose::large) == 0x00040205);

    CHECK(static_cast<int>(root_state::free) == 0);
    CHECK(static_cast<int>(root_state::building) == 1);
    CHECK(static_cast<int>(root_state::live) == 2);
    CHECK(static_cast<int>(root_state::erasing) == 3);
    CHECK(static_cast<int>(root_state::poisoned) == 4);
    CHECK(static_cast<int>(object_kind::list) == 1);
    CHECK(static_cast<int>(object_kind::queue) == 4);
    CHECK(static_cast<int>(object_kind::sharded_dict) == 18);
    CHECK(static_cast<int>(operation_kind::list_drop) == 1);
    CHECK(static_cast<int>(operation_kind::list_erase) == 2);
    CHECK(static_cast<int>(operation_kind::list_insert) == 3);
    CHECK(static_cast<int>(operation_kind::list_reverse) == 4);
    CHECK(static_cast<int>(operation_kind::queue_drop) == 6);
    CHECK(static_cast<int>(operation_kind::list_compact) == 7);
    CHECK(static_cast<int>(element_form::in_place) == 1);
    CHECK(static_cast<int>(element_form::blob) == 2);
    CHECK(participant_is_creator == 1);
}

TEST_CASE("a record of the undo log is one word of offset and length") {
    CHECK(log_record_word(0x123456789a, 0xfff8) == 0x123456789afff8);
    CHECK(log_record_max_bytes == 0xfff8);
}

TEST_CASE("the hash of stored names is XXH3 with the segment's seed") {
    CHECK(hash_algorithm_xxh3 == 1);
    CHECK(hash_bytes("results", 7, 0) == 0x7e9928d2377ef455);
    CHECK(hash_bytes("results", 7, 1) == 0xfd386a946e12d99c);
}

TEST_CASE("elements of a list are where format 5 has them") {
    const list_geometry words(stride_for(8));
    CHECK(words.base_log2 == 4);    // 16 elements in the first chunk
    CHECK(words.chunk_log2 == 17);  // 1 MiB in the largest
    CHECK(words.first_index(3) == 112);
    const list_geometry::position first = words.locate(0);
    CHECK(first.superblock == 0);
    CHECK(first.within == 0);
    const list_geometry::position far = words.locate(1'000'000);
    CHECK(far.superblock == 15);
    CHECK(far.chunk == 3);
    CHECK(far.within == 82512);
    CHECK(stride_for(1) == 1);
    CHECK(stride_for(2) == 2);
    CHECK(stride_for(3) == 4);
    CHECK(stride_for(5) == 8);
    CHECK(stride_for(24) == 24);
}

TEST_CASE("the services of a manager are stored as every shmctl reads them") {
    check_layout<service_process_entry>(40, {
                                                AT(service_process_entry, identity, 0),
                                                AT(service_process_entry, generation, 8),
                                                AT(service_process_entry, started, 16),
                                                AT(service_process_entry, stage, 24),
                                                AT(service_process_entry, last_beat, 32),
                                            });
    check_layout<service_place_entry>(112, {
                                               AT(service_place_entry, current, 0),
                                               AT(service_place_entry, next, 40),
                                               AT(service_place_entry, restarts, 80),
                                               AT(service_place_entry, failures, 88),
                                               AT(service_place_entry, not_before, 96),
                                               AT(service_place_entry, reserved_, 104),
                                           });
    check_layout<service_entry>(272, {
                                         AT(service_entry, name, 0),
                                         AT(service_entry, name_bytes, 200),
                                         AT(service_entry, restart, 204),
                                         AT(service_entry, target, 208),
                                         AT(service_entry, target_orders, 216),
                                         AT(service_entry, reload_orders, 224),
                                         AT(service_entry, restart_orders, 232),
                                         AT(service_entry, restarts, 240),
                                         AT(service_entry, has_given_up, 248),
                                         AT(service_entry, places, 256),
                                         AT(service_entry, place_capacity, 264),
                                         AT(service_entry, reserved_, 268),
                                     });
    check_layout<service_set_node>(112, {
                                            AT(service_set_node, incarnation, 0),
                                            AT(service_set_node, manager, 8),
                                            AT(service_set_node, supervisor, 16),
                                            AT(service_set_node, looked_at, 24),
                                            AT(service_set_node, orders, 32),
                                            AT(service_set_node, obeyed, 40),
                                            AT(service_set_node, stop, 48),
                                            AT(service_set_node, generation, 56),
                                            AT(service_set_node, services, 64),
                                            AT(service_set_node, service_count, 72),
                                            AT(service_set_node, reserved_, 76),
                                            AT(service_set_node, program, 80),
                                        });
    CHECK(static_cast<int>(object_kind::service_set) == 23);
    CHECK(static_cast<int>(set_stop::graceful) == 1);
    CHECK(static_cast<int>(set_stop::kill) == 2);
}

}  // namespace layout_test
