namespace Gongzhi.Core.Territory;

/// <summary>
/// A node of the division tree as it stands or once stood. Immutable; a reform ends the validity of one place and names its
/// successors, and never deletes it, so that old records keep their place. Its outline is kept beside it (<see cref="PlaceShapes"/>), since few ask for it and it is large.
/// </summary>
public sealed record Place
{
    /// <summary>Longest name accepted, in UTF-16 units. The longest published name has 25.</summary>
    public const int NameLengthMax = 100;

    /// <summary>Most successors one place may name: no reform on record split a place into more.</summary>
    public const int SuccessorsMax = 64;

    public required PlaceCode Code { get; init; }

    /// <summary>The name in Chinese, as published.</summary>
    public required string Name { get; init; }

    /// <summary>The name in English or romanised, when one was imported.</summary>
    public string? NameEn { get; init; }

    /// <summary>The parent by the digits of the code; none for a province. Who runs the place may differ: <see cref="AdministeredBy"/>.</summary>
    public PlaceCode Parent => Code.Parent;

    /// <summary>First day the code was in use; null means "as long as anyone needs".</summary>
    public DateOnly? ValidFrom { get; init; }

    /// <summary>First day the code was no longer in use; null while it is. The interval is half open, so it equals the successors' first day.</summary>
    public DateOnly? ValidTo { get; init; }

    /// <summary>What took the place over on <see cref="ValidTo"/>; several after a split, none when it was abolished outright.</summary>
    public IReadOnlyList<PlaceCode> Successors { get; init; } = [];

    /// <summary>A development zone that runs this place though its code lies elsewhere; none when the digits tell the truth.</summary>
    public PlaceCode AdministeredBy { get; init; }

    /// <summary>True for a node that only fills a gap in the numbering (市辖区, 县, 省直辖县级行政区划): paths shown to people leave it out.</summary>
    public bool IsPseudo { get; init; }

    /// <summary>A point to centre a map on.</summary>
    public GeoPoint? Centre { get; init; }

    public PlaceLevel Level => Code.Level;

    /// <summary>Whether the code was in use on a day.</summary>
    public bool IsValidOn(DateOnly day) => (ValidFrom is not { } from || day >= from) && (ValidTo is not { } to || day < to);
}
