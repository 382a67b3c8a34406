using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>An answer about to be written, the access it left, and what it holds on to.</summary>
public sealed class GovernedAnswer : IDisposable
{
    private readonly RecordSnapshot _snapshot;
    private readonly AnswerPlaces.Place _place;

    internal GovernedAnswer(QueryReader reader, Guid access, string grant, RecordSnapshot snapshot, AnswerPlaces.Place place) =>
        (Reader, Access, Grant, _snapshot, _place) = (reader, access, grant, snapshot, place);

    public QueryReader Reader { get; }
    public Guid Access { get; }
    public string Grant { get; }

    public void Dispose()
    {
        Reader.Dispose();
        _snapshot.Dispose();
        _place.Dispose();
    }
}

/// <summary>The only road from records to a reader: decide, compile under the permit, record the access, run.</summary>
public sealed class GovernedQuery(
    Catalog.Catalog catalog, PolicyEngine policy, TailTables tails, TerritoryStore territory, DuckEngine engine, AccessLog accesses, Sequencer sequencer,
    CursorKey cursorKey, TimeProvider clock)
{
    /// <param name="address">Where it is asked from: whoever has no account has a share of the answers by address.</param>
    public async Task<Result<GovernedAnswer>> RunAsync(Caller caller, QueryRequest request, CancellationToken cancel, string? address = null)
    {
        var answer = await AccessLog.DecidedAsync(() => AnswerAsync(caller, request, address, cancel)).ConfigureAwait(false);
        Measures.Queried(answer.Ok);
        return answer;
    }

    private async Task<Result<GovernedAnswer>> AnswerAsync(Caller caller, QueryRequest request, string? address, CancellationToken cancel)
    {
        if (catalog.Find(request.Dataset) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.");
        var decision = policy.Decide(caller, dataset, request.Purpose, clock.GetUtcNow(), request.Grant);
        if (decision.Permit is not { } permit)
            return decision.Refusal();
        var anonymous = caller.Party.Length == 0;
        // Before the access: what is refused here shows nothing.
        var opened = engine.Places.Open(anonymous ? "address " + address : "party " + caller.Party, anonymous);
        if (opened.Problem is { } full)
            return full;
        var place = opened.Value!;
        RecordSnapshot snapshot;
        try
        {
            snapshot = tails.Open(dataset, sequencer.Log.Head.Size);
        }
        catch
        {
            place.Dispose();
            throw;
        }
        try
        {
            var compiled = QueryCompiler.Compile(request, permit, snapshot, Within, cursorKey.Bytes, territory.Index.Groups);
            if (!compiled.Ok)
            {
                snapshot.Dispose();
                place.Dispose();
                return compiled.Problem;
            }
            var access = await accesses.RecordAsync(caller, compiled.Value.Reading(request.Hash()), cancel).ConfigureAwait(false);
            var reader = await engine.RunAsync(compiled.Value, place, cancel).ConfigureAwait(false);
            if (!reader.Ok)
            {
                snapshot.Dispose();
                place.Dispose();
                return reader.Problem;
            }
            return new GovernedAnswer(reader.Value, access, permit.Grant, snapshot, place);
        }
        catch
        {
            snapshot.Dispose();
            place.Dispose();
            throw;
        }
    }

    private IReadOnlyList<PlaceRange> Within(string place) => Ranges(territory, place);

    /// <summary>A place and all below it as code ranges, by today's territory; by prefix for a code it does not know.</summary>
    public static IReadOnlyList<PlaceRange> Ranges(TerritoryStore territory, string place)
    {
        if (!PlaceCode.TryParse(place, out var code))
            return [];
        return territory.Index.IsKnown(code) ? territory.Index.Within(code) : PlaceRanges.Prefix(code);
    }
}

/// <summary>The node's secret that makes page cursors unforgeable: 32 bytes.</summary>
public sealed record CursorKey(ReadOnlyMemory<byte> Bytes);
