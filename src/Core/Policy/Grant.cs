using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Policy;

/// <summary>What a grant allows. Contributing never allows reading, nor the other way round.</summary>
public enum GrantAction { Read, Contribute }

/// <summary>
/// Who may read what of a dataset, for which purposes, how fine, which rows, under which posture, until when; or who may contribute to it, until when.
/// Only its end ever changes.
/// </summary>
public sealed class Grant
{
    public required string Id { get; init; }
    public required string Dataset { get; init; }
    public GrantAction Action { get; init; }

    /// <summary>Every stated part must hold; at least one is stated.</summary>
    public string? GranteeUnit { get; init; }
    public string? GranteeRole { get; init; }
    public string? GranteeParty { get; init; }

    /// <summary>A JSON array of purposes; empty when it is to contribute, and so are the fields and rows.</summary>
    public required string Purposes { get; init; }

    /// <summary>A JSON object: field to transform, as it was granted.</summary>
    public required string Fields { get; init; }

    /// <summary>A JSON object: placeWithin, timeFrom and timeTo in microseconds UTC, filter.</summary>
    public required string Rows { get; init; }

    /// <summary>Asleep below this level; null is always awake.</summary>
    public PostureLevel? Posture { get; init; }
    public required DateTimeOffset ValidFrom { get; init; }
    public required DateTimeOffset ValidUntil { get; init; }

    /// <summary>Groups below this size are withheld; 0 is no threshold.</summary>
    public int MinimumGroup { get; init; }

    /// <summary>32 random bytes; equal values are equal within this grant and nowhere else.</summary>
    public required byte[] PseudonymKey { get; init; }
    public required string CreatedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public string? RevokedBy { get; set; }
    public DateTimeOffset? RevokedAt { get; set; }
}

public sealed class GrantModel : IModelPart
{
    public void Build(ModelBuilder model) => model.Entity<Grant>(e =>
    {
        e.ToTable("access_grant").IsAudited().HasKey(g => g.Id);
        e.HasIndex(g => g.Dataset);
        e.Property(g => g.PseudonymKey).IsSecret();
    });
}

/// <summary>A grant with its JSON read once.</summary>
internal sealed record CompiledGrant(
    Grant Grant, IReadOnlySet<string> Purposes, IReadOnlyDictionary<string, FieldTransform> Fields, string? PlaceWithin, long? TimeFrom, long? TimeTo, Filter? Filter)
{
    /// <summary>Wider first: no group threshold, more fields, finer fields, fewer limits on rows; then the older, so that the choice is always the same.</summary>
    public (int, int, int, int, string) Narrowness => (
        Grant.MinimumGroup, -Fields.Count, -Fields.Values.Sum(t => TransformKind.AggregateOnly - t.Kind),
        (PlaceWithin is null ? 0 : 1) + (TimeFrom is null ? 0 : 1) + (TimeTo is null ? 0 : 1) + (Filter is null ? 0 : 1) + (Grant.Posture is null ? 0 : 1), Grant.Id);

    public static CompiledGrant From(Grant grant)
    {
        using var purposes = JsonDocument.Parse(grant.Purposes);
        using var fields = JsonDocument.Parse(grant.Fields);
        using var rows = JsonDocument.Parse(grant.Rows);
        var filter = rows.RootElement.GetProperty("filter");
        var parsed = filter.ValueKind == JsonValueKind.Null ? default : FilterJson.Parse(filter);
        if (parsed.Problem is { } problem)
            throw new InvalidDataException($"The stored grant {grant.Id} has no readable filter: {problem.Detail}");
        return new(
            grant,
            purposes.RootElement.EnumerateArray().Select(p => p.GetString()!).ToHashSet(StringComparer.Ordinal),
            fields.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => TransformJson.Read(p.Value) ?? throw new InvalidDataException($"The stored grant {grant.Id} has an unknown transform."), StringComparer.Ordinal),
            rows.RootElement.GetProperty("placeWithin").GetString(),
            Number(rows.RootElement.GetProperty("timeFrom")),
            Number(rows.RootElement.GetProperty("timeTo")),
            parsed.Value);
    }

    private static long? Number(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : value.GetInt64();
}
