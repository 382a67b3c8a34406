using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>An answer about to be written, the access it left, and what it holds on to.</summary>
public sealed class GovernedAnswer(QueryReader reader, Guid access, string grant, RecordSnapshot snapshot) : IDisposable
{
    public QueryReader Reader { get; } = reader;
    public Guid Access { get; } = access;
    public string Grant { get; } = grant;

    public void Dispose()
    {
        Reader.Dispose();
        snapshot.Dispose();
    }
}

/// <summary>The only road from records to a reader: decide, compile under the permit, record the access, run.</summary>
public sealed class GovernedQuery(
    Catalog.Catalog catalog, PolicyEngine policy, TailTables tails, TerritoryStore territory, DuckEngine engine, AccessLog accesses, Sequencer sequencer,
    CursorKey cursorKey, TimeProvider clock)
{
    public async Task<Result<GovernedAnswer>> RunAsync(Caller caller, QueryRequest request, CancellationToken cancel)
    {
        if (catalog.Find(request.Dataset) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.");
        var decision = policy.Decide(caller, dataset, request.Purpose, clock.GetUtcNow(), request.Grant);
        if (decision.Permit is not { } permit)
            return decision.Refusal();
        var snapshot = tails.Open(dataset, sequencer.Log.Head.Size);
        try
        {
            var compiled = QueryCompiler.Compile(request, permit, snapshot, Within, cursorKey.Bytes, territory.Index.Groups);
            if (!compiled.Ok)
            {
                snapshot.Dispose();
                return compiled.Problem;
            }
            var access = await accesses.RecordAsync(caller, compiled.Value.Reading(request.Hash()), cancel).ConfigureAwait(false);
            var reader = await engine.RunAsync(compiled.Value, cancel).ConfigureAwait(false);
            if (!reader.Ok)
            {
                snapshot.Dispose();
                return reader.Problem;
            }
            return new GovernedAnswer(reader.Value, access, permit.Grant, snapshot);
        }
        catch
        {
            snapshot.Dispose();
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
