using System.Globalization;
using System.Text;
using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>A small matrix as an SVG heat map: red above 0, blue below, white at 0.</summary>
static class HeatMap
{
    const double Margin = 80, Header = 28, CellHeight = 20, MaxWidth = 960;

    /// <param name="groups">Equal groups of columns; each has a heading and a frame.</param>
    public static string Svg(Matrix matrix, string rowName, string groupName, int groups)
    {
        var cell = Math.Min(CellHeight, MaxWidth / matrix.Columns);
        double width = cell * matrix.Columns, height = CellHeight * matrix.Rows, largest = 0;
        for (long r = 0; r < matrix.Rows; r++)
            foreach (var v in matrix[r]) largest = Math.Max(largest, Math.Abs(v));
        var (svg, invariant) = (new StringBuilder(), CultureInfo.InvariantCulture);
        svg.Append(invariant, $"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Margin + width + 8}\" "
            + $"height=\"{Header + height + 24}\" font-family=\"sans-serif\" font-size=\"12\">\n");
        svg.Append(invariant, $"<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
        for (long r = 0; r < matrix.Rows; r++)
        {
            var top = Header + CellHeight * r;
            svg.Append(invariant,
                $"<text x=\"{Margin - 8}\" y=\"{top + 14}\" text-anchor=\"end\">{rowName} {r}</text>\n");
            for (var c = 0; c < matrix.Columns; c++)
                svg.Append(invariant, $"<rect x=\"{Margin + cell * c:0.###}\" y=\"{top}\" width=\"{cell:0.###}\" "
                    + $"height=\"{CellHeight}\" "
                    + $"fill=\"{Colour(matrix[r][c] / Math.Max(largest, 1e-300))}\">"
                    + $"<title>{matrix[r][c]:0.0000}</title></rect>\n");
        }
        for (var g = 0; g < groups; g++)
        {
            double left = Margin + width * g / groups, wide = width / groups;
            svg.Append(invariant,
                $"<text x=\"{left + wide / 2:0.###}\" y=\"{Header - 10}\" text-anchor=\"middle\">{groupName} "
                + $"{g}</text>\n");
            svg.Append(invariant,
                $"<rect x=\"{left:0.###}\" y=\"{Header}\" width=\"{wide:0.###}\" height=\"{height}\" fill=\"none\" "
                + $"stroke=\"black\"/>\n");
        }
        svg.Append(invariant, $"<text x=\"{Margin}\" y=\"{Header + height + 16}\">blue −{largest:0.000}, white 0, red "
            + $"{largest:0.000}</text>\n");
        return svg.Append("</svg>\n").ToString();
    }

    static string Colour(double v)
    {
        var pale = (int)Math.Round(255 * (1 - Math.Min(1, Math.Abs(v))));
        return v < 0 ? $"#{pale:x2}{pale:x2}ff" : $"#ff{pale:x2}{pale:x2}";
    }
}
