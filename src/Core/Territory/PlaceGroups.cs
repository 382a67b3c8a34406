namespace Gongzhi.Core.Territory;

/// <summary>
/// Exceptions to "the first digits name the district", for grouping what records carry by what stands today: places that went into others, and
/// places run from outside their prefix.
/// </summary>
/// <param name="Prefixes">Codes at or below the level: everything that begins so belongs to the group. The longest first, so that the first that fits counts.</param>
/// <param name="Whole">Codes above the level that were replaced: the code alone, not what is inside it.</param>
public sealed record PlaceGroups(IReadOnlyList<(PlaceCode Code, PlaceCode Group)> Prefixes, IReadOnlyList<(PlaceCode Code, PlaceCode Group)> Whole)
{
    /// <summary>The digits tell the truth.</summary>
    public static PlaceGroups None { get; } = new([], []);
}
