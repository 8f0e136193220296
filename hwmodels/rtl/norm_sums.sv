// The sums of a row's words and of their squares, over the lanes and then over the chunks: norm_root.sums_step.
// The row's sums keep as many bits as a row of fewer than 2**14 elements needs.
module norm_sums #(
    parameter int LANES = 64
) (
    input  logic                  clk,
    input  logic                  gather,   // the sums over the lanes count
    input  logic                  fresh,    // and begin a row
    input  logic   [LANES*16-1:0] words,
    input  logic   [LANES*32-1:0] squares,
    output logic signed    [29:0] s1,
    output logic           [43:0] s2
);
  localparam int More = $clog2(LANES);
  logic signed [15+More:0] words_added, word_sum, word_sum_2;
  logic signed [31+More:0] squares_added, square_sum;
  norm_tree #(.LANES(LANES), .W(16)) u_words (.x(words), .y(words_added));
  norm_tree #(.LANES(LANES), .W(32)) u_squares (.x(squares), .y(squares_added));
  always_ff @(posedge clk) begin
    word_sum   <= words_added;
    word_sum_2 <= word_sum;
    square_sum <= squares_added;
  end

  logic signed [29:0] from_1;
  logic signed [43:0] from_2;
  assign from_1 = fresh ? 30'sd0 : s1;
  assign from_2 = fresh ? 44'sd0 : $signed(s2);
  always_ff @(posedge clk) begin
    if (gather) begin
      s1 <= from_1 + 30'(word_sum_2);
      s2 <= from_2 + 44'(square_sum);
    end
  end
endmodule
