using System.Buffers;
using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary>Superseding one record by another, and the versions a record has had.</summary>
internal static class CorrectionEndpoints
{
    /// <summary>One record as JSON; a file of corrections goes the way of contributions.</summary>
    private const long RecordBytesMax = 1L << 20;

    public static void MapCorrections(this IEndpointRouteBuilder app)
    {
        app.MapPut("/api/v1/datasets/{id}/records/{recordId:guid}", SupersedeAsync).WithName("supersedeRecord").RequireCaller().AcceptsBody(RecordBytesMax)
            .Accepts<JsonElement>("application/json").TakesBody(typeof(IReadOnlyDictionary<string, JsonElement>)).Produces<ReceiptAnswer>(201).Produces<ReceiptAnswer>().ProducesProblem(403).ProducesProblem(404).ProducesProblem(409).ProducesProblem(410).ProducesProblem(422)
            .DisableAntiforgery();
        app.MapGet("/api/v1/datasets/{id}/records/{recordId:guid}/history", History).WithName("recordHistory").RequireCaller().Produces<HistoryAnswer>().ProducesProblem(404);
    }

    /// <summary>Whose records this caller may supersede, as intake asks it.</summary>
    public static Func<Batch, Problem?> Rule(PolicyEngine policy, Caller caller, Dataset dataset, TimeProvider clock) => batch =>
        policy.DecideSupersede(caller, dataset, batch.Contributor, clock.GetUtcNow()) is { Allowed: false } refused ? refused.Refusal() : null;

    private static async Task<IResult> SupersedeAsync(
        string id, Guid recordId, HttpContext http, Catalog catalog, IntakeService intake, CallerAccessor callers, PolicyEngine policy, RecordVersions versions, TimeProvider clock,
        CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        var caller = callers.Required;
        if (policy.DecideContribution(caller, dataset, clock.GetUtcNow()) is { Allowed: false } denied)
            return denied.Refusal().ToResult();
        if (versions.Find(id, recordId) is null)
            return Problem.NotFound("record.unknown", "There is no record with this id in this dataset, or you may not read it.").ToResult();
        byte[] row;
        try
        {
            row = await RowAsync(http.Request.Body, recordId, cancel).ConfigureAwait(false);
        }
        catch (JsonException)
        {
            return HostProblems.Malformed.ToResult();
        }
        var source = new NdjsonSource(new MemoryStream(row), RowReader.ColumnsOf(dataset));
        await using (source.ConfigureAwait(false))
        {
            var outcome = await intake.ContributeAsync(new Contribution
            {
                Dataset = dataset,
                Contributor = caller.Party,
                Source = source,
                IdempotencyKey = http.Request.Headers["Idempotency-Key"].ToString() is { Length: > 0 } key ? key : null,
                BodyDigest = _ => Task.FromResult(System.Security.Cryptography.SHA256.HashData(row)),
                MaySupersede = Rule(policy, caller, dataset, clock),
                Origin = "http put",
            }, cancel).ConfigureAwait(false);
            return outcome.ToResult(receipt => Results.Json(ReceiptAnswer.Of(receipt.Batch, null, []), statusCode: receipt.Repeated ? 200 : 201));
        }
    }

    /// <summary>The object as one line that names the record it supersedes.</summary>
    private static async Task<byte[]> RowAsync(Stream body, Guid record, CancellationToken cancel)
    {
        using var json = await JsonDocument.ParseAsync(body, new JsonDocumentOptions { MaxDepth = 4 }, cancel).ConfigureAwait(false);
        if (json.RootElement.ValueKind != JsonValueKind.Object || json.RootElement.TryGetProperty(RowReader.SupersedesColumn, out _))
            throw new JsonException("One record is an object of its fields.");
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString(RowReader.SupersedesColumn, record);
            foreach (var member in json.RootElement.EnumerateObject())
                member.WriteTo(writer);
            writer.WriteEndObject();
        }
        return [.. buffer.WrittenSpan, (byte)'\n'];
    }

    private static IResult History(string id, Guid recordId, RecordVersions versions, Catalog catalog, PolicyEngine policy, CallerAccessor callers, TimeProvider clock)
    {
        var history = versions.History(id, recordId);
        // Who may see the receipt of the version he names sees the whole chain: times and ids, no content.
        if (history.FirstOrDefault(v => v.Record == recordId) is not { } named || catalog.Find(id) is not { } dataset
            || !policy.DecideReceipt(callers.Required, dataset, named.Contributor, clock.GetUtcNow()).Allowed)
            return Problem.NotFound("record.unknown", "There is no record with this id in this dataset, or you may not read it.").ToResult();
        return Results.Json(new HistoryAnswer(id, [.. history.Select(v => new VersionAnswer(
            v.Record, v.State.ToString().ToLowerInvariant(), v.Received, v.Batch, $"/api/v1/datasets/{id}/records/{v.Record}/proof", v.SupersededBy,
            v.Leaf is null ? null : Convert.ToBase64String(v.Leaf)))]));
    }

    /// <param name="Versions">From the first to the last.</param>
    internal sealed record HistoryAnswer(string Dataset, IReadOnlyList<VersionAnswer> Versions);

    /// <param name="State"><c>current</c>, <c>superseded</c> or <c>erased</c>.</param>
    /// <param name="Leaf">Of an erased version: the hash that stays of it.</param>
    internal sealed record VersionAnswer(Guid Record, string State, DateTimeOffset Received, Guid Receipt, string Proof, Guid? SupersededBy, string? Leaf);
}
