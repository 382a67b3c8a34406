namespace Gongzhi.SampleCity;

/// <summary>A synthetic resident.</summary>
/// <param name="Id">
/// Eighteen characters made like an identity number (GB 11643), but beginning with a made-up area 9901xx, so that it can be nobody's.
/// </param>
/// <param name="Sex">1 male, 2 female.</param>
/// <param name="Community">Code of the community of residence.</param>
/// <param name="Household">Number of the household; its members have the same one.</param>
/// <param name="Occupation">A code of the list <c>occupation</c>.</param>
/// <param name="Updated">The day on which the entry was last brought up to date.</param>
/// <param name="Name">Put together at random.</param>
/// <param name="BirthDate">The date that the identity number holds.</param>
public sealed record Resident(
    string Id, string Name, string Sex, DateOnly BirthDate, string Community, string Household, string Occupation, DateOnly Updated);
