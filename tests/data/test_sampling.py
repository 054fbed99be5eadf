import pytest

from fcn_lab.data.sampling import EvalSampler, TrainSampler

N, BATCH = 53, 4


def epoch_of(sampler: TrainSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert {e for e, _ in drawn} == {epoch}
    return [index for _, index in drawn]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_covers_every_index_exactly_once_over_the_ranks(world: int) -> None:
    shards = [list(EvalSampler(N, rank, world)) for rank in range(world)]
    assert sorted(index for shard in shards for index in shard) == list(range(N))
    assert [len(EvalSampler(N, rank, world)) for rank in range(world)] == [len(s) for s in shards]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_training_ranks_share_no_frame_and_have_equally_many_whole_batches(world: int) -> None:
    shards = [epoch_of(TrainSampler(N, BATCH, 0, rank, world), 5) for rank in range(world)]
    union = [index for shard in shards for index in shard]
    assert len(set(union)) == len(union) > N - BATCH * world
    assert {len(shard) for shard in shards} == {N // (BATCH * world) * BATCH}
    assert len(shards[0]) == len(TrainSampler(N, BATCH, 0, 0, world))


def test_the_ranks_together_draw_what_one_rank_draws_with_their_batches_in_one() -> None:
    alone = epoch_of(TrainSampler(N, 3 * BATCH), 2)
    shards = [epoch_of(TrainSampler(N, BATCH, 0, rank, 3), 2) for rank in range(3)]
    together = [index for entry in zip(*shards, strict=True) for index in entry]
    assert together == alone


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    sampler = TrainSampler(N, BATCH)
    third = epoch_of(sampler, 3)
    assert epoch_of(sampler, 4) != third
    assert epoch_of(sampler, 3) == third == epoch_of(TrainSampler(N, BATCH), 3)
    assert epoch_of(TrainSampler(N, BATCH, seed=1), 3) != third


@pytest.mark.parametrize("done", [0, 1, 7, N // BATCH])
def test_a_resumed_epoch_goes_on_behind_the_batches_done_and_later_ones_are_whole(
    done: int,
) -> None:
    whole, resumed = TrainSampler(N, BATCH), TrainSampler(N, BATCH)
    resumed.resume(2, done)
    assert [index for _, index in resumed] == epoch_of(whole, 2)[done * BATCH :]
    assert len(resumed) == len(whole)
    assert epoch_of(resumed, 3) == epoch_of(whole, 3)
